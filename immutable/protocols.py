"""The backend author's page: what a backend must do, and what it may rely on.

A backend is an object with five parts: ``images``, ``fleets``, ``logs``, a way to open
its own ``switch``, and ``capabilities`` that say which algorithm the engine may choose.
Nothing is inherited; whatever has these methods is a backend. The docstrings are the
contract. Everything here is synchronous and must be safe to call from several threads.

Common to every operation:

- *Errors.* Translate the provider's errors into `immutable.errors`, with the cause kept
  (``raise … from exc``). Set ``retryable=True`` only where the provider states that the
  call had no effect and may be repeated. Raise `Ambiguous` where it may have had effect.
- *Tokens.* Every creation takes a token and repeats safely: the same token again finds
  and returns what the first call made.
- *Absolute values.* No operation toggles or increments.
- *Absence.* Returning None or leaving something out of a list says "it is not there".
  When you cannot tell, raise.
- *Tags.* Everything that is created carries the given tags, readable without the ledger.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Literal, Protocol

import attrs

from immutable.images.recipe import Recipe
from immutable.model import (
    Endpoint,
    FleetName,
    FleetSpec,
    FleetView,
    HealthCheck,
    Image,
    ImageId,
    Instance,
    InstanceId,
    InstanceLog,
    LedgerId,
    Member,
    Probe,
    Routing,
    ServiceName,
    SwitchView,
    Target,
    Token,
    Verdict,
    Version,
)
from immutable.urls import Url

PROTOCOL_VERSION = 1
"""Raised whenever a backend written for the earlier number could go wrong."""


@attrs.frozen(kw_only=True)
class Capabilities:
    """What a backend can do. Absent means refused by planning, before any effect."""

    builds_images: bool
    """`Images.build` works; without it only existing images can be deployed."""
    launch_binds: bool
    """Launching puts instances into the attachment; otherwise the engine joins them."""
    keeps_logs: bool
    """`Logs.read` answers for instances that are gone."""
    reachable_elsewhere: bool
    """Another machine can manage the same resources (a cloud, not a local hypervisor)."""
    guards_deletion: bool
    """The provider itself refuses to destroy a fleet that the switch still names."""
    staleness: timedelta
    """How old a reading may be: something new may be missing for so long, or something
    that is gone still be shown."""
    late: timedelta
    """How long after a call was made, by a caller that has died or given up waiting, it
    may still take effect."""


@attrs.frozen(kw_only=True)
class SwitchCapabilities:
    """What a switch can do; chooses between whole and weighted shifts, and the fence."""

    fencing: Literal["compare-and-set", "slot", "blind"]
    """How a stale writer is refused. ``blind``: it is not, and the engine must wait."""
    weighted: bool
    """Weights other than 0 and 100 are honoured."""
    preview: bool
    """A fleet without weight can be reached on the preview route."""
    counts_sessions: bool
    """`Switch.sessions` returns a number rather than None."""
    settle: timedelta
    """How long after an acknowledged write older routings may still be served."""
    staleness: timedelta
    """How old a reading may be. A write that expects an old version is refused."""
    late: timedelta
    """How long after a write was sent it may still take effect; see ``fencing``."""


@attrs.frozen(kw_only=True)
class Need:
    """What a deployment is going to use at its peak, for `Backend.preflight`."""

    service: ServiceName
    new_instances: int
    """Instances that will be created beside everything that runs now."""
    image: Image | None
    """The image they boot from; None when it has yet to be built."""


class Images(Protocol):
    """Bootable artefacts: found by exact id, built from recipes, never changed."""

    def find(self, image: ImageId) -> Image | None:
        """Return the image with exactly this id, or None when there is none.

        Never resolves names, aliases or "latest".
        """
        ...

    def build(self, recipe: Recipe, *, on_output: Callable[[str], None]) -> Image:
        """Build a recipe and return its image; one that exists is returned unbuilt.

        Args:
            recipe: what to build. Its digest decides whether work is needed at all.
            on_output: gets each line that the build prints, from the calling thread.

        Raises:
            MissingFiles: the recipe names files that are not there.
            NotEnough: the image would not fit; checked before building.
            BuildFailed: a layer failed; the message holds the last lines of its output.
        """
        ...

    def delete(self, image: ImageId) -> None:
        """Delete an image; one that is already gone is no error."""
        ...


class Fleets(Protocol):
    """Groups of servers, each launched from one release and retired whole."""

    def launch(self, spec: FleetSpec, *, token: Token) -> None:
        """Create the fleet with ``spec.size`` instances, or complete one begun before.

        Returns when every instance is requested, not when it is ready: readiness is
        what the switch sees. Repeat-safe: afterwards there are ``spec.size`` instances.

        Raises:
            NotEnough: the provider has no room. What was created stays, tagged.
        """
        ...

    def observe(self, fleet: FleetName) -> FleetView | None:
        """Return the fleet as it is now, or None when nothing of it exists.

        Costs a bounded number of provider calls, however many instances there are.
        """
        ...

    def resize(
        self, spec: FleetSpec, *, remove: tuple[InstanceId, ...], token: Token
    ) -> None:
        """Make the fleet ``spec.size`` instances, destroying those in ``remove`` first."""
        ...

    def replace(self, spec: FleetSpec, *, instance: InstanceId, token: Token) -> None:
        """Destroy one instance and bring the fleet back to ``spec.size``."""
        ...

    def retire(self, fleet: FleetName, *, token: Token) -> None:
        """Destroy the fleet and all that belongs to it, except its logs.

        Precondition: it is detached from the switch. A fleet that is already gone is no
        error. Returns when nothing of it is left.
        """
        ...

    def list(self, *, service: ServiceName, ledger: LedgerId) -> tuple[FleetView, ...]:
        """Return every fleet with these tags, found without the ledger, by name."""
        ...


@attrs.frozen(kw_only=True)
class MachineSpec:
    """One server to create: its name within the provider, and the fleet it belongs to."""

    name: str
    fleet: FleetSpec


class Machines(Protocol):
    """For providers that only know single servers; `immutable.fleets` makes fleets of them.

    Deterministic names are the idempotency: ``create`` with a name that exists, carrying
    the same tags, returns what is there.
    """

    def create(self, spec: MachineSpec) -> Instance:
        """Create a server with the spec's name, tags and image, or return that one."""
        ...

    def list(self) -> tuple[tuple[Instance, tuple[tuple[str, str], ...]], ...]:
        """Return every server that carries ``immutable-…`` tags, each with its tags.

        Servers that died are listed as ``GONE`` as long as anything of them is left.
        """
        ...

    def destroy(self, instance: InstanceId) -> None:
        """Destroy a server and its disks; its logs stay. One already gone is no error."""
        ...


class Switch(Protocol):
    """What decides which fleet gets the traffic. One switch serves one service."""

    @property
    def capabilities(self) -> SwitchCapabilities:
        """Return what this switch can do; the same at every call."""
        ...

    def preflight(self) -> None:
        """Check that the switch is there, or could be set up; no effect.

        Raises:
            Unavailable, PermissionDenied, Taken: and nothing was touched.
        """
        ...

    def endpoints(self) -> tuple[Endpoint, Endpoint]:
        """Return where clients connect: production first, then the preview route."""
        ...

    def read(self) -> SwitchView:
        """Return routing, attachments, owner and version in one consistent reading.

        A switch that has never been set up reads as empty, unowned.
        """
        ...

    def attach(
        self,
        fleet: FleetName,
        *,
        health: HealthCheck,
        owner: LedgerId,
        expected: Version,
    ) -> Version:
        """Give a fleet its place, without traffic. One that has a place keeps it.

        Raises:
            Conflict: the version is no longer ``expected``; nothing was changed.
            NotEnough: no place is free.
        """
        ...

    def join(
        self, fleet: FleetName, members: tuple[Member, ...], *, drain: timedelta
    ) -> None:
        """Make the attachment's members exactly these; probing of new ones begins.

        A member that leaves gets no new requests at once and is removed when its last
        session ends, or after ``drain``. Members count as ready only after a probe
        passed.

        Raises:
            Conflict: the fleet has no place here (any more).
        """
        ...

    def health(self, fleet: FleetName) -> tuple[Probe, ...]:
        """Return one probe for each member, by the switch's own latest passed check."""
        ...

    def write(self, routing: Routing, *, owner: LedgerId, expected: Version) -> Version:
        """Set the whole routing in one atomic step and return the new version.

        Returns when the routing is served and would survive a restart of the switch.

        Raises:
            Conflict: the version is no longer ``expected``; nothing was changed.
            Ambiguous: it may or may not be served; read to know.
        """
        ...

    def sessions(self, fleet: FleetName) -> int | None:
        """Return how many requests or connections the fleet is serving; None: unknown."""
        ...

    def detach(
        self, fleet: FleetName, *, owner: LedgerId, expected: Version
    ) -> Version:
        """Take away the fleet's place. One without a place is no error.

        Raises:
            Conflict: the version is no longer ``expected``, or the fleet has weight or
                is previewed; nothing was changed.
        """
        ...


class Logs(Protocol):
    """What instances said, readable after they are gone."""

    def read(self, fleet: FleetName, *, tail_bytes: int) -> tuple[InstanceLog, ...]:
        """Return the end of each instance's console and journal, in order of id."""
        ...


class Backend(Protocol):
    """Everything one provider offers. Opening one does no I/O."""

    @property
    def protocol_version(self) -> int:
        """Return the `PROTOCOL_VERSION` that this backend was written for."""
        ...

    @property
    def name(self) -> str:
        """Return the scheme it answers to, for messages."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """Return what this backend can do; the same at every call."""
        ...

    @property
    def images(self) -> Images:
        """Return the image side."""
        ...

    @property
    def fleets(self) -> Fleets:
        """Return the fleet side."""
        ...

    @property
    def logs(self) -> Logs:
        """Return the log side."""
        ...

    def default_switch(self, service: ServiceName, *, port: int) -> Url:
        """Return the URL of the switch to use where the user names none."""
        ...

    def preflight(self, need: Need) -> tuple[str, ...]:
        """Check that the need can be met; return warnings, one line each.

        Raises:
            Unavailable, PermissionDenied, NotEnough, Taken: and nothing was touched.
        """
        ...


class OpenBackend(Protocol):
    """What the entry point group ``immutable.backends`` names: URL in, backend out."""

    def __call__(self, url: Url) -> Backend:
        """Return the backend; parse the URL, raise `InvalidInput`, do no I/O."""
        ...


class OpenSwitch(Protocol):
    """What the entry point group ``immutable.switches`` names."""

    def __call__(self, url: Url, *, service: ServiceName, port: int) -> Switch:
        """Return the service's switch; parse the URL, raise `InvalidInput`, no I/O."""
        ...


class Validator(Protocol):
    """Judges a fleet. Any callable with this shape will do; a bool counts as a verdict."""

    def __call__(self, target: Target, /) -> Verdict | bool | None:
        """Judge the target; None means undecided, an exception means failed."""
        ...


class LedgerStore(Protocol):
    """Numbered records in named streams; put-if-absent is all that is asked of a store."""

    def append(self, stream: str, sequence: int, record: bytes) -> None:
        """Store a record durably under a number that nobody has used.

        Raises:
            SequenceTaken: the number is in use; nothing was changed.
            Ambiguous: it may or may not be stored; read to know.
        """
        ...

    def read(
        self, stream: str, *, after: int, limit: int
    ) -> tuple[tuple[int, bytes], ...]:
        """Return at most ``limit`` records with higher numbers, in ascending order."""
        ...

    def last(self, stream: str) -> tuple[int, bytes] | None:
        """Return the record with the highest number, at a cost that does not grow."""
        ...
