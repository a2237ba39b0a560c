"""Everything that the emulated AWS knows beyond what moto does."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import attrs
from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.ec2.models.instances import Instance

from emulators.aws.agenda import Agenda
from emulators.aws.lagging import Lag
from emulators.aws.settings import Settings
from emulators.aws.spoiling import Cuts
from emulators.plane.addresses import Addresses
from emulators.plane.balancer import Listener
from emulators.plane.behaviour import Behaviour
from emulators.plane.machines import Machine
from emulators.plane.pools import Pool
from emulators.plane.runner import Runner

if TYPE_CHECKING:
    from emulators.aws.groups.model import Group

Tick = Callable[["World"], None]
Place = tuple[str, str]
"""An account and a region."""


@attrs.frozen(kw_only=True)
class Remembered:
    """What was answered to a call with a client token."""

    fingerprint: str
    answer: object
    instances: tuple[str, ...] = ()


@attrs.define(eq=False, kw_only=True)
class World:
    """The state of one emulated AWS. Whoever reads or changes it holds the lock."""

    chosen: Settings
    """What it started with, and returns to."""
    settings: Settings = attrs.field(init=False)
    bugs: list[str] = attrs.field(factory=list, init=False)
    """What went wrong in the emulator itself: a test that sees one proves nothing."""
    lock: threading.RLock = attrs.field(factory=threading.RLock, init=False)
    lag: Lag = attrs.field(factory=Lag, init=False)
    cuts: Cuts = attrs.field(factory=Cuts, init=False)
    agenda: Agenda = attrs.field(factory=Agenda, init=False)
    runner: Runner = attrs.field(factory=Runner, init=False)
    addresses: Addresses = attrs.field(factory=Addresses, init=False)
    ticks: list[Tick] = attrs.field(factory=list, init=False)
    """Called again and again: what goes on by itself."""
    instances: dict[str, Instance] = attrs.field(factory=dict, init=False)
    """Every instance that was ever launched, by its id."""
    machines: dict[str, Machine] = attrs.field(factory=dict, init=False)
    """Each instance's machine, by the instance's id."""
    behaviours: dict[str, Behaviour] = attrs.field(factory=dict, init=False)
    """What the machines of an image do, by the image's id, where it was said."""
    pools: dict[str, Pool] = attrs.field(factory=dict, init=False)
    """Each target group's pool, by the group's ARN."""
    listeners: dict[str, Listener] = attrs.field(factory=dict, init=False)
    """What really listens, by the listener's ARN."""
    groups: "dict[tuple[Place, str], Group]" = attrs.field(factory=dict, init=False)
    """Auto Scaling groups by place and name."""
    tokens: "dict[tuple[Place, str, str], Remembered]" = attrs.field(
        factory=dict, init=False
    )
    """What was answered, by place, operation and client token."""
    extras: dict[str, dict[str, object]] = attrs.field(factory=dict, init=False)
    """What handlers keep of a resource, by its id."""

    def __attrs_post_init__(self) -> None:
        """Begin with what was chosen."""
        self.settings = self.chosen

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock, with everything done that was due."""
        with self.lock:
            self.advance()
            yield

    def advance(self) -> None:
        """Let happen what the clock says."""
        self.agenda.perform()
        for tick in self.ticks:
            tick(self)

    def scaled(self, seconds: float) -> float:
        """Return how long a duration of AWS's takes here."""
        return seconds * self.settings.scale

    def keep(self, resource: str) -> dict[str, object]:
        """Return what handlers keep of a resource."""
        return self.extras.setdefault(resource, {})

    def reset(self) -> None:
        """Forget everything, as if nothing had ever been called."""
        with self.lock:
            self.agenda.clear()
            self.runner.run(self._close_all())
            for kept in self._kept():
                kept.clear()
            self.bugs.clear()
            self.lag.clear()
            self.cuts.clear()
            self.settings = self.chosen
            BackendDict.reset()
            reset_model_data()

    def close(self) -> None:
        """End everything that runs."""
        with self.lock:
            self.runner.run(self._close_all())
            self.runner.close()
            self.addresses.close()

    def _kept(self) -> tuple[dict[object, object], ...]:
        kept: list[object] = [
            self.instances,
            self.machines,
            self.behaviours,
            self.pools,
            self.listeners,
            self.groups,
            self.tokens,
            self.extras,
        ]
        return tuple(each for each in kept if isinstance(each, dict))

    async def _close_all(self) -> None:
        for listener in self.listeners.values():
            await listener.close()
        for pool in self.pools.values():
            await pool.close()
        for machine in self.machines.values():
            await machine.halt()
