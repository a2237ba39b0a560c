"""A switch between a client and the real one, which writes down what passes."""

from collections.abc import Callable
from datetime import timedelta
from typing import Protocol, TypeVar

from immutable.capabilities import SwitchCapabilities
from immutable.model import (
    Endpoint,
    FleetName,
    HealthCheck,
    LedgerId,
    Member,
    Probe,
    Routing,
    SwitchView,
    Version,
)
from immutable.protocols import Switch
from immutable.testing.linearizability.calls import (
    Answer,
    Call,
    Conflicted,
    Read,
    Seen,
    Touch,
    Write,
    Written,
)

_T = TypeVar("_T")


class Scribe(Protocol):
    """Makes calls and writes down what came of them; see `History.ask`."""

    def ask(
        self,
        process: str,
        call: Call,
        act: Callable[[], _T],
        answer: Callable[[_T], Answer],
        *,
        conflict: Answer | None,
    ) -> _T:
        """Make a call, write it down, and return its result."""
        ...


class RecordedSwitch:
    """A switch whose readings and changes of version are written down.

    The value is the routing. Attaching and detaching are written down as `Touch` where
    they take the version into account, which is where fencing is ``compare-and-set``.
    """

    def __init__(self, switch: Switch, *, process: str, history: Scribe) -> None:
        self._switch, self._process, self._history = switch, process, history

    @property
    def capabilities(self) -> SwitchCapabilities:
        """Return what the switch can do."""
        return self._switch.capabilities

    def preflight(self) -> tuple[str, ...]:
        """Check that the switch is there."""
        return self._switch.preflight()

    def endpoints(self) -> tuple[Endpoint, Endpoint]:
        """Return where clients connect."""
        return self._switch.endpoints()

    def read(self) -> SwitchView:
        """Read, and write down routing and version."""
        return self._history.ask(
            self._process, Read(), self._switch.read, _seen, conflict=None
        )

    def attach(
        self,
        fleet: FleetName,
        *,
        health: HealthCheck,
        owner: LedgerId,
        expected: Version,
    ) -> Version:
        """Attach, and write down the versions before and after."""

        def attach() -> Version:
            return self._switch.attach(
                fleet, health=health, owner=owner, expected=expected
            )

        return self._touch(expected, attach, conflict=Conflicted())

    def join(
        self, fleet: FleetName, members: tuple[Member, ...], *, drain: timedelta
    ) -> None:
        """Join members; this leaves the version alone."""
        self._switch.join(fleet, members, drain=drain)

    def health(self, fleet: FleetName) -> tuple[Probe, ...]:
        """Return one probe for each member."""
        return self._switch.health(fleet)

    def write(self, routing: Routing, *, owner: LedgerId, expected: Version) -> Version:
        """Write, and write down what was expected and what came of it."""

        def write() -> Version:
            return self._switch.write(routing, owner=owner, expected=expected)

        call = Write(expected=expected, value=routing)
        return self._history.ask(
            self._process, call, write, _written, conflict=Conflicted()
        )

    def sessions(self, fleet: FleetName) -> int | None:
        """Return how many requests the fleet is serving."""
        return self._switch.sessions(fleet)

    def detach(
        self, fleet: FleetName, *, owner: LedgerId, expected: Version
    ) -> Version:
        """Detach, and write down the versions before and after.

        A conflict is left out: the fleet may have had weight.
        """

        def detach() -> Version:
            return self._switch.detach(fleet, owner=owner, expected=expected)

        return self._touch(expected, detach, conflict=None)

    def _touch(
        self, expected: Version, act: Callable[[], Version], *, conflict: Answer | None
    ) -> Version:
        if self.capabilities.fencing != "compare-and-set":
            return act()
        call = Touch(expected=expected)
        return self._history.ask(self._process, call, act, _written, conflict=conflict)


def _seen(view: SwitchView) -> Answer:
    return Seen(value=view.routing, version=view.version)


def _written(version: Version) -> Answer:
    return Written(version=version)
