"""One world of ``memory://``: a cloud, its switches and a ledger, in virtual time."""

from collections import Counter
from datetime import datetime, timedelta

import attrs

from immutable.capabilities import Capabilities
from immutable.durations import duration
from immutable.images.recipe import Recipe
from immutable.model import (
    FleetName,
    Image,
    ImageId,
    Instance,
    InstanceId,
    ServiceName,
)
from immutable.testing.backend import SimulatedBackend, image_name, make_image
from immutable.testing.chances import seeded
from immutable.testing.cloud import Cloud
from immutable.testing.faults import Script, Scripts
from immutable.testing.memory.archive import Archive
from immutable.testing.memory.hosting import MemoryHost
from immutable.testing.memory.images import MemoryImages
from immutable.testing.memory.settings import Settings
from immutable.testing.memory.shared import SharedGate, SharedStore
from immutable.testing.memory.turns import Turns
from immutable.testing.scheduling import to_us
from immutable.testing.servers import Behaviour, to_datetime
from immutable.testing.switches import SimulatedSwitch
from immutable.testing.verdicts import ImageVerdict
from immutable.urls import Url

SCHEME = "memory"


class World:
    """What there is at one address of ``memory://``. Time begins on 2026-01-01.

    >>> from immutable.testing import forget, world
    >>> demo = world("memory://demo?capacity=10")
    >>> demo.image("shop-1", dies_after="10s").id
    'shop-1'
    >>> demo.wait("90s")
    >>> demo.now.isoformat()
    '2026-01-01T00:01:30+00:00'
    >>> forget("memory://demo")
    """

    def __init__(self, name: str, settings: Settings) -> None:
        """Make a world in which nothing exists yet; use `immutable.testing.world`."""
        self.name = name
        self.settings = settings
        self._turns = Turns(settings.seed)
        self._gate = SharedGate(self._turns, seeded(settings.seed, "gate"))
        chance = seeded(settings.seed, "cloud")
        self._cloud = Cloud(settings.provider, self._turns, chance)
        self._cloud.usual = Behaviour(boots_in=settings.boots_in)
        self.host = MemoryHost(self._turns, seeded(settings.seed, "hosts"))
        """What calls on this world run on."""
        self.ledger = SharedStore(self._gate)
        self.verdict = ImageVerdict(self._cloud)
        """A validator: judges each release as its image was declared to be judged."""
        self._archive = Archive()
        self._gate.staleness_us = to_us(settings.staleness)
        self._gate.late_us = to_us(settings.late)

    @property
    def backend(self) -> "MemoryBackend":
        """Return what `open_backend` returns for this world's address."""
        return MemoryBackend(self)

    def switch(self, service: str) -> SimulatedSwitch:
        """Return a service's switch."""
        with self._turns.lock:
            return SimulatedSwitch(self._cloud, self._gate, ServiceName(service))

    @property
    def now(self) -> datetime:
        """Return the time, which moves only when calls are made, or by `wait`."""
        return to_datetime(self._turns.now_us)

    @property
    def calls(self) -> Counter[str]:
        """Return how often each call to the provider, switch and ledger was made."""
        with self._turns.lock:
            return Counter(self._gate.calls)

    @property
    def struck(self) -> Counter[str]:
        """Return how often each kind of fault has struck."""
        with self._turns.lock:
            return Counter(self._gate.struck)

    def wait(self, pause: timedelta | str) -> None:
        """Let time pass, and whoever is at work in other threads go on."""
        with self._turns.at_work():
            self._turns.wait_until(self._turns.now_us + to_us(duration(pause)))

    def image(
        self,
        name: str,
        *,
        boots_in: timedelta | str | None = None,
        ready: bool = True,
        dies_after: timedelta | str | None = None,
        flaps_after: timedelta | str | None = None,
    ) -> Image:
        """Put an image into the world, and say how its servers behave.

        Args:
            name: its id.
            boots_in: until a server answers; the world's own when not given.
            ready: whether it ever answers.
            dies_after: its life, from launch on.
            flaps_after: when it stops answering for a second.
        """
        with self._turns.lock:
            image = make_image(self._cloud, name)
        boots_in = self.settings.boots_in if boots_in is None else boots_in
        behaviour = Behaviour(
            boots_in=boots_in,
            ready=ready,
            dies_after=dies_after,
            flaps_after=flaps_after,
        )
        self.behave(image, behaviour)
        return image

    def behave(self, subject: Image | Recipe | str, behaviour: Behaviour) -> None:
        """Say how servers behave that are launched from here on from an image.

        Args:
            subject: an image, its id, or the recipe that it is, or will be, built from.
            behaviour: how.
        """
        if isinstance(subject, Recipe):
            subject = image_name(subject)
        image = subject.id if isinstance(subject, Image) else ImageId(subject)
        with self._turns.lock:
            self._cloud.behaviours[image] = behaviour

    def servers(self) -> tuple[Instance, ...]:
        """Return every server that there is, the dead ones included, by fleet and id."""
        with self._turns.lock:
            now_us, fleets = self._turns.now_us, self._cloud.fleets.now
            return tuple(
                server.as_instance(now_us)
                for name in sorted(fleets)
                for server in fleets[name].servers
            )

    def kill_server(self, instance: str) -> None:
        """Let a server die."""
        with self._turns.lock:
            self._cloud.kill(InstanceId(instance))

    def scale_by(self, fleet: str, policies: str, *, least: int, most: int) -> None:
        """Give a fleet policies and size bounds, where its provider scales by itself.

        Args:
            fleet: its name.
            policies: any text; it moves from fleet to fleet with the traffic.
            least: the lowest desired size that `scale` takes.
            most: the highest.
        """
        with self._turns.lock:
            self._cloud.keeper.police(FleetName(fleet), policies, least, most)

    def scaling(self, fleet: str) -> tuple[str, int, int] | None:
        """Return a fleet's policies and size bounds; None: it has none."""
        with self._turns.lock:
            found = self._cloud.fleets.now.get(FleetName(fleet))
            group = found.group if found else None
            return (group.policies, group.least, group.most) if group else None

    def scale(self, fleet: str, size: int) -> None:
        """Let the provider scale a fleet by itself, as alarms do; a frozen one it lets be."""
        with self._turns.lock:
            self._cloud.keeper.scale(FleetName(fleet), size)

    def fail(self, *scripts: Script) -> None:
        """Say what goes wrong from here on; with nothing, nothing does."""
        with self._turns.lock:
            self._gate.faults = Scripts(scripts)

    def kill_deployer(self, at: int) -> None:
        """Let the next call that changes something die, as a process does that is killed.

        Args:
            at: the crash point; there is one before and one after each call to the
                provider, switch and ledger, and the first is 1. A call that passes
                fewer is not harmed.
        """
        self.host.kill_at = at


class MemoryBackend(SimulatedBackend):
    """`immutable.protocols.Backend` for ``memory://``; brings its own time and ledger."""

    def __init__(self, world: World) -> None:
        # the two are one thing
        cloud, gate, archive = world._cloud, world._gate, world._archive  # noqa: SLF001 - see above
        super().__init__(cloud, gate)
        self.images = MemoryImages(cloud, gate, archive)
        self._world = world

    @property
    def host(self) -> MemoryHost:
        """Return what calls on this world run on."""
        return self._world.host

    @property
    def capabilities(self) -> Capabilities:
        """Return what the provider declares, and what this does with images."""
        settings = self._world.settings
        return attrs.evolve(
            super().capabilities,
            keeps_records=settings.keeps_records,
            adopts_artefacts=settings.adopts_artefacts,
        )

    def default_switch(self, service: ServiceName, *, port: int) -> Url:  # noqa: ARG002 - a world has one switch for each service
        """Return the world's own address."""
        return Url(scheme=SCHEME, host=self._world.name)

    def default_ledger(self) -> Url:
        """Return the world's own address: a file would outlive it."""
        return Url(scheme=SCHEME, host=self._world.name)
