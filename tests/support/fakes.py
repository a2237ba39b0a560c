"""A small world in memory for tests of the algorithm: no provider, no sleeping.

It keeps its own truth and follows the protocols' contracts; faults are put into it by
name. The tests look at that truth, never at what was called.
"""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import attrs

from immutable.capabilities import Capabilities, Need, SwitchCapabilities
from immutable.errors import Conflict, ImmutableError, SequenceTaken
from immutable.host import Stop
from immutable.model import (
    Attachment,
    Digest,
    Endpoint,
    FleetName,
    FleetSpec,
    FleetView,
    Health,
    HealthCheck,
    Image,
    ImageId,
    Instance,
    InstanceId,
    InstanceLog,
    InstanceState,
    LedgerId,
    Member,
    Probe,
    Routing,
    ServiceName,
    SwitchView,
    Token,
    Version,
    digest_of,
    pairs,
)
from immutable.urls import Url
from immutable.workers import Raised, Returned


class FakeClock:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 1, tzinfo=UTC)
        self.at_times: list[tuple[datetime, Callable[[], None]]] = []

        self.names = 0
        self.name = "tests/1/1/?"

    def now(self) -> datetime:
        return self.time

    def is_dead(self, name: str) -> bool:
        return name.startswith("dead")

    def chance(self) -> float:
        return 0.5

    def unique(self) -> str:
        self.names += 1
        return digest_of("unique", self.names)[:32]

    def run(
        self, calls: list[Callable[[], object]], *, within: timedelta
    ) -> tuple[object, ...]:
        return tuple(self._answer(call) for call in calls)

    def _answer(self, call: Callable[[], object]) -> object:
        try:
            return Returned(call())
        except Exception as exc:  # noqa: BLE001 - whoever waits is told of it
            return Raised(exc)

    def aside(
        self, work: Callable[[], object], on_interrupt: Callable[[], None]
    ) -> object:
        return work()

    def sleep(self, pause: timedelta, stop: Stop) -> None:
        self.time += max(pause, timedelta(milliseconds=1))
        for due in [item for item in self.at_times if item[0] <= self.time]:
            self.at_times.remove(due)
            due[1]()


class MemoryStore:
    """A ledger store in memory."""

    def __init__(self) -> None:
        self.records: dict[str, list[bytes]] = {}
        self.before_append: Callable[[str, int], None] = lambda *_: None
        self.after_append: Callable[[str, int], None] = lambda *_: None

    def append(self, stream: str, sequence: int, record: bytes) -> None:
        self.before_append(stream, sequence)
        rows = self.records.setdefault(stream, [])
        if sequence != len(rows) + 1:
            raise SequenceTaken(f"{stream} {sequence} is taken")
        rows.append(record)
        self.after_append(stream, sequence)

    def read(
        self, stream: str, *, after: int, limit: int
    ) -> tuple[tuple[int, bytes], ...]:
        rows = self.records.get(stream, [])
        return tuple(enumerate(rows, 1))[after : after + limit]

    def last(self, stream: str) -> tuple[int, bytes] | None:
        rows = self.records.get(stream, [])
        return (len(rows), rows[-1]) if rows else None


@attrs.define
class World:
    """The truth: what exists, what is routed, and what is going to go wrong."""

    clock: FakeClock = attrs.field(factory=FakeClock)
    boot: timedelta = timedelta(seconds=3)
    fleets: dict[FleetName, FleetView] = attrs.field(factory=dict)
    specs: dict[FleetName, FleetSpec] = attrs.field(factory=dict)
    places: dict[FleetName, tuple[Member, ...]] = attrs.field(factory=dict)
    routing: Routing = attrs.field(factory=Routing)
    routings: list[Routing] = attrs.field(factory=list)
    version: int = 1
    owner: LedgerId | None = None
    images: dict[ImageId, Image] = attrs.field(factory=dict)
    sick: set[FleetName | InstanceId] = attrs.field(factory=set)
    sick_images: set[ImageId] = attrs.field(factory=set)
    busy: dict[FleetName, int] = attrs.field(factory=dict)
    faults: dict[str, list[Exception]] = attrs.field(factory=dict)
    late_faults: dict[str, list[Exception]] = attrs.field(factory=dict)
    calls: list[str] = attrs.field(factory=list)
    lock: threading.RLock = attrs.field(factory=threading.RLock)

    def image(self, name: str) -> Image:
        """Put an image into the world."""
        made = Image(id=ImageId(name), digest=Digest(digest_of(name)), backend="fake")
        self.images[made.id] = made
        return made

    def called(self, name: str) -> None:
        """Note a call, and raise the fault that waits for it."""
        self.calls.append(name)
        if self.faults.get(name):
            raise self.faults[name].pop(0)

    def returns(self, name: str) -> None:
        """Raise the fault that strikes after the effect."""
        if self.late_faults.get(name):
            raise self.late_faults[name].pop(0)

    def kill(self, instance: InstanceId) -> None:
        """Let an instance die."""
        for name, view in self.fleets.items():
            changed = tuple(
                attrs.evolve(i, state=InstanceState.GONE) if i.id == instance else i
                for i in view.instances
            )
            self.fleets[name] = attrs.evolve(view, instances=changed)

    def inventory(self) -> set[FleetName]:
        """Return everything that exists, attached or running."""
        return set(self.fleets) | set(self.places)


class FakeFleets:
    """Fleets in memory; instances boot by the world's clock."""

    def __init__(self, world: World) -> None:
        self.world = world

    def launch(self, spec: FleetSpec, *, token: Token) -> None:
        self.world.called("launch")
        self._fill(spec, token, ())
        self.world.returns("launch")

    def observe(self, fleet: FleetName) -> FleetView | None:
        self.world.called("observe")
        return self.world.fleets.get(fleet)

    def resize(
        self, spec: FleetSpec, *, remove: tuple[InstanceId, ...], token: Token
    ) -> None:
        self.world.called("resize")
        self._fill(spec, token, remove)
        self.world.returns("resize")

    def replace(self, spec: FleetSpec, *, instance: InstanceId, token: Token) -> None:
        self.world.called("replace")
        self._fill(spec, token, (instance,))
        self.world.returns("replace")

    def retire(self, fleet: FleetName, *, token: Token) -> None:
        self.world.called("retire")
        assert fleet not in self.world.places, "retired while attached"
        assert not self.world.routing.mentions(fleet), "retired what serves"
        self.world.fleets.pop(fleet, None)
        self.world.returns("retire")

    def list(self, *, service: ServiceName, ledger: LedgerId) -> tuple[FleetView, ...]:
        self.world.called("list")
        return tuple(
            view
            for name, view in sorted(self.world.fleets.items())
            if self.world.specs[name].tags.service == service
            and self.world.specs[name].tags.ledger == ledger
        )

    def _fill(
        self, spec: FleetSpec, token: Token, remove: tuple[InstanceId, ...]
    ) -> None:
        view = self.world.fleets.get(spec.name) or FleetView(
            name=spec.name, instances=(), tags=pairs(spec.tags.to_mapping())
        )
        kept = [i for i in view.instances if i.id not in remove]
        number = 0
        while len([i for i in kept if i.state is not InstanceState.GONE]) < spec.size:
            name = InstanceId(f"{spec.name}-{digest_of(token, number)[:5]}")
            number += 1
            if all(i.id != name for i in view.instances):
                kept.append(self._booted(spec, name))
        self.world.specs[spec.name] = spec
        instances = tuple(sorted(kept, key=lambda i: i.id))
        self.world.fleets[spec.name] = attrs.evolve(view, instances=instances)

    def _booted(self, spec: FleetSpec, name: InstanceId) -> Instance:
        return Instance(
            id=name,
            fleet=spec.name,
            state=InstanceState.RUNNING,
            address=f"addr-{name}",
            digest=spec.tags.digest[:16],
            launched_at=self.world.clock.now(),
            image=spec.image.id,
            document=spec.document,
        )


class FakeSwitch:
    """A compare-and-set switch in memory."""

    def __init__(self, world: World, **capabilities: bool) -> None:
        self.world = world
        self.capabilities = attrs.evolve(
            SwitchCapabilities(
                fencing="compare-and-set",
                weighted=True,
                preview=True,
                counts_sessions=True,
                settle=timedelta(),
                staleness=timedelta(),
                late=timedelta(),
            ),
            **capabilities,
        )

    def preflight(self) -> tuple[str, ...]:
        self.world.called("preflight")
        return ()

    def endpoints(self) -> tuple[Endpoint, Endpoint]:
        return Endpoint(host="127.0.0.1", port=1), Endpoint(host="127.0.0.1", port=2)

    def read(self) -> SwitchView:
        self.world.called("read")
        places = tuple(
            Attachment(fleet=fleet, place=f"slot-{fleet}", members=members)
            for fleet, members in sorted(self.world.places.items())
        )
        return SwitchView(
            routing=self.world.routing,
            version=Version(str(self.world.version)),
            attachments=places,
            owner=self.world.owner,
        )

    def attach(
        self,
        fleet: FleetName,
        *,
        health: HealthCheck,
        owner: LedgerId,
        expected: Version,
    ) -> Version:
        self.world.called("attach")
        self._check(expected)
        self.world.places.setdefault(fleet, ())
        return self._moved("attach", owner)

    def join(
        self, fleet: FleetName, members: tuple[Member, ...], *, drain: timedelta
    ) -> None:
        self.world.called("join")
        if fleet not in self.world.places:
            raise Conflict(f"{fleet} has no place")
        self.world.places[fleet] = members
        self.world.returns("join")

    def health(self, fleet: FleetName) -> tuple[Probe, ...]:
        self.world.called("health")
        return tuple(self._probe(fleet, m) for m in self.world.places.get(fleet, ()))

    def write(self, routing: Routing, *, owner: LedgerId, expected: Version) -> Version:
        self.world.called("write")
        self._check(expected)
        self._check_whole(routing)
        self.world.routing = routing
        self.world.routings.append(routing)
        return self._moved("write", owner)

    def sessions(self, fleet: FleetName) -> int | None:
        self.world.called("sessions")
        return self.world.busy.get(fleet, 0)

    def detach(
        self, fleet: FleetName, *, owner: LedgerId, expected: Version
    ) -> Version:
        self.world.called("detach")
        self._check(expected)
        if self.world.routing.mentions(fleet):
            raise Conflict(f"{fleet} has traffic")
        self.world.places.pop(fleet, None)
        return self._moved("detach", owner)

    def _check(self, expected: Version) -> None:
        if expected != str(self.world.version):
            raise Conflict(f"version is {self.world.version}, not {expected}")

    def _check_whole(self, routing: Routing) -> None:
        """Assert safety rule 1 at every write that gives a fleet more than it had.

        A fleet that served everything before may be gone back to when half is ready.
        """
        for fleet, weight in routing.weights:
            if weight > self.world.routing.weight_of(fleet):
                probes = [self._probe(fleet, m) for m in self.world.places[fleet]]
                ready = [p for p in probes if p.health is Health.READY]
                back = any(r.weight_of(fleet) == 100 for r in self.world.routings)
                enough = (len(probes) + 1) // 2 if back else len(probes)
                assert ready, f"{fleet} has no members that are ready"
                assert len(ready) >= enough, f"{fleet} is not whole"

    def _moved(self, name: str, owner: LedgerId) -> Version:
        self.world.version += 1
        self.world.owner = owner
        self.world.returns(name)
        return Version(str(self.world.version))

    def _probe(self, fleet: FleetName, member: Member) -> Probe:
        view = self.world.fleets.get(fleet)
        found = (
            next((i for i in view.instances if i.id == member.instance), None)
            if view
            else None
        )
        spec = self.world.specs.get(fleet)
        if found is None or found.state is InstanceState.GONE:
            return Probe(
                instance=member.instance, health=Health.UNREADY, evidence="L4CON"
            )
        if fleet in self.world.sick or found.id in self.world.sick:
            return Probe(
                instance=member.instance, health=Health.UNREADY, evidence="L7STS/500"
            )
        if spec and spec.image.id in self.world.sick_images:
            return Probe(
                instance=member.instance, health=Health.UNREADY, evidence="L7TOUT"
            )
        launched = found.launched_at or self.world.clock.now()
        if self.world.clock.now() - launched < self.world.boot:
            return Probe(
                instance=member.instance, health=Health.UNKNOWN, evidence="INI"
            )
        return Probe(instance=member.instance, health=Health.READY, evidence="L7OK")


class FakeImages:
    """Images in memory."""

    def __init__(self, world: World) -> None:
        self.world = world

    def find(self, image: ImageId) -> Image | None:
        return self.world.images.get(image)

    def build(self, recipe: object, *, on_output: Callable[[str], None]) -> Image:
        on_output("built")
        return self.world.image(f"img-{recipe.digest[:16]}")  # type: ignore[attr-defined]

    def delete(self, image: ImageId) -> None:
        self.world.images.pop(image, None)


class FakeLogs:
    """Logs that say which fleet they are of."""

    def __init__(self, world: World) -> None:
        self.world = world

    def read(self, fleet: FleetName, *, tail_bytes: int) -> tuple[InstanceLog, ...]:
        self.world.called("logs")
        instance = InstanceId(f"{fleet}-0")
        return (
            InstanceLog(instance=instance, fleet=fleet, console="panic", journal=""),
        )


class FakeBackend:
    """The parts above as one backend."""

    protocol_version = 1
    name = "fake"

    def __init__(self, world: World, **capabilities: bool) -> None:
        self.world = world
        self.capabilities = attrs.evolve(
            Capabilities(
                builds_images=True,
                launch_binds=False,
                keeps_logs=True,
                reachable_elsewhere=False,
                guards_deletion=False,
                staleness=timedelta(),
                late=timedelta(),
            ),
            **capabilities,
        )
        self.images = FakeImages(world)
        self.fleets = FakeFleets(world)
        self.logs = FakeLogs(world)

    def default_switch(self, service: ServiceName, *, port: int) -> Url:
        return Url(scheme="fake", host=service)

    def preflight(self, need: Need) -> tuple[str, ...]:
        self.world.called("preflight")
        return ()


def boom(kind: type[ImmutableError], **fields: bool) -> ImmutableError:
    """Return an error to strike with."""
    return kind("struck by the test", **fields)
