"""Drawing a world from one number: its provider, its dangers, and who does what in it."""

from collections import Counter
from datetime import timedelta
from types import MappingProxyType

import attrs

from immutable.model import (
    DeploymentId,
    FleetName,
    FleetSpec,
    HealthCheck,
    Image,
    InstanceId,
    LedgerId,
    Release,
    ReleaseNumber,
    ServiceName,
    Tags,
)
from immutable.service import Service
from immutable.strategies import BlueGreen, Canary, Strategy
from immutable.testing import people
from immutable.testing.backend import make_image
from immutable.testing.chances import Chance
from immutable.testing.faults import Hazards
from immutable.testing.planting import plant
from immutable.testing.programs import Action, Program
from immutable.testing.provider import Provider
from immutable.testing.registers import Kind
from immutable.testing.scheduling import Clock
from immutable.testing.servers import Behaviour, Fleet, born
from immutable.testing.simulation import Simulation

SERVICE = ServiceName("shop")
_VERBS = {
    "deploy": 60,
    "rollback": 12,
    "scale": 8,
    "heal": 5,
    "recover": 8,
    "sweep": 5,
    "destroy": 2,
}
_SOUND = Behaviour(boots_in="50ms")
_BEHAVIOURS = {
    _SOUND: 60,
    Behaviour(boots_in="300ms"): 10,
    Behaviour(ready=False): 5,
    Behaviour(boots_in="100ms", rejected="preview"): 5,
    Behaviour(boots_in="100ms", rejected="live"): 8,
    Behaviour(boots_in="100ms", dies_after="1s"): 4,
    Behaviour(boots_in="100ms", flaps_after="500ms", flaps_for="300ms"): 4,
    Behaviour(boots_in="100ms", wrong_digest=True): 4,
}
"""How the servers of a drawn image behave, and how often it is drawn."""

_STARTS = (1, 1, 10, 100, 900)
"""Within how many seconds a process begins."""
_PATIENCE: tuple[tuple[int, ...], ...] = ((), (10,), (10, 100, 900))
"""Within how many seconds it tries again what was refused."""
_NAP = timedelta(minutes=4)


def draw_provider(chance: Chance, switch: Kind) -> Provider:
    """Draw what the provider is like."""
    return Provider(
        switch=switch,
        staleness=timedelta(seconds=chance.choice((0, 2, 20))),
        late=timedelta(seconds=chance.choice((0, 30, 300, 300))),
        launch_binds=one_in(5, chance),
        guards_deletion=one_in(3, chance),
        counts=one_in(5, chance),
        preview=not one_in(8, chance),
        weighted=not one_in(8, chance),
        keeps_logs=not one_in(8, chance),
        capacity=chance.randrange(4, 12) if one_in(10, chance) else None,
        settle=timedelta(seconds=chance.choice((0, 0, 0, 15))),
        drains_in=timedelta(seconds=chance.choice((0, 0, 0.5))),
        sickness=chance.choice((0.0, 0.0, 0.0, 0.05)),
    )


def draw_hazards(chance: Chance, provider: Provider) -> Hazards:
    """Draw how dangerous life is for processes.

    A blind switch lets through whoever slept between comparing and sending. What it
    states as ``late`` has to cover that sleep, and the request on its way: half each.
    """
    blind = provider.switch == "blind"
    return Hazards(
        chance=chance,
        longest=provider.late / 2 if blind else _NAP,
        death=chance.choice((0.0, 0.01, 0.01, 0.03)),
        pause=chance.choice((0.0, 0.0, 0.005, 0.02)),
    )


def one_in(count: int, chance: Chance) -> bool:
    """Draw whether something happens that happens once in so many times."""
    return chance.randrange(count) == 0


@attrs.define(eq=False)
class DrawnPolicy:
    """A service, two to four processes that do things to it, and perhaps a person."""

    chance: Chance
    outcomes: Counter[str] = attrs.field(factory=Counter)
    wrong_clocks: bool = False
    """The processes' clocks are up to five minutes apart from virtual time."""
    _images: int = 0

    def __call__(self, sim: Simulation) -> None:
        """Set the world up."""
        self.wrong_clocks = one_in(4, self.chance)
        add_bystanders(sim)
        service = self._service(sim)
        for _ in range(self.chance.choice((0, 1, 1, 1, 2, 2))):
            plant(sim, service, self._image(sim, _SOUND))
        for number in range(self.chance.choice((2, 2, 2, 3, 3, 4))):
            self._spawn(sim, service, f"deployer-{number + 1}")
        if one_in(8, self.chance):
            sim.at(self._soon(8), lambda: self._meddle(sim))
        if one_in(8, self.chance):
            sim.at(self._soon(8), lambda: self._let_die(sim))

    def _service(self, sim: Simulation) -> Service:
        return sim.service(
            SERVICE,
            size=self.chance.choice((1, 2, 2, 3)),
            strategy=self._strategy(),
            ready_timeout="1s",
            drain="1s",
        )

    def _strategy(self) -> Strategy:
        bake = self.chance.choice(("0s", "0s", "500ms", "2s"))
        warm = self.chance.choice(("0s", "30s", "1h"))
        if one_in(4, self.chance):
            return Canary(steps=(10,), hold="300ms", bake=bake, keep_warm=warm)
        return BlueGreen(bake=bake, keep_warm=warm)

    def _spawn(self, sim: Simulation, service: Service, name: str) -> None:
        actions = tuple(self._action(sim) for _ in range(self.chance.choice((1, 1, 2))))
        pauses = tuple(self._soon(span) for span in self.chance.choice(_PATIENCE))
        program = Program(sim, service, actions, self.outcomes, pauses)
        after = self._soon(self.chance.choice(_STARTS))
        sim.spawn(name, program, after=after, clock=self._clock())

    def _clock(self) -> Clock:
        """Draw a clock: the right one, mostly."""
        if not self.wrong_clocks:
            return Clock()
        return Clock(ahead=timedelta(seconds=self.chance.random() * 600 - 300))

    def _action(self, sim: Simulation) -> Action:
        verb = self.chance.choices(tuple(_VERBS), tuple(_VERBS.values()))[0]
        size = self.chance.randrange(1, 5)
        if verb != "deploy":
            return Action(verb=verb, size=size)
        behaviour = self.chance.choices(tuple(_BEHAVIOURS), tuple(_BEHAVIOURS.values()))
        image = self._image(sim, behaviour[0])
        return Action(verb=verb, image=image, strategy=self._strategy())

    def _image(self, sim: Simulation, behaviour: Behaviour) -> Image:
        self._images += 1
        image = make_image(sim.cloud, f"app-{self._images}")
        sim.cloud.behaviours[image.id] = behaviour
        return image

    def _soon(self, seconds: float) -> timedelta:
        return timedelta(seconds=self.chance.random() * seconds)

    def _meddle(self, sim: Simulation) -> None:
        """Let a person move traffic to some fleet that has a place, or to none."""
        places = [place.fleet for place in sim.cloud.switch(SERVICE).now.places]
        if places and not one_in(4, self.chance):
            people.route(sim, SERVICE, {self.chance.choice(places): 100})
        else:
            people.route(sim, SERVICE, {})

    def _let_die(self, sim: Simulation) -> None:
        """Let a server of some fleet die."""
        fleets = sim.cloud.fleets.now
        names = sorted(fleets.keys() - sim.oracles.bystanders)
        servers = [s for name in names for s in fleets[name].alive(sim.cloud.now_us)]
        if servers:
            sim.kill_server(self.chance.choice(servers).id)


def loosen(sim: Simulation, chance: Chance) -> None:
    """Let the provider scale fleets by chance; perhaps a person has frozen what serves."""
    sim.cloud.keeper.chance = chance
    live = sim.oracles.books[SERVICE].state.live if SERVICE in sim.services else None
    if live is None or not one_in(6, chance):
        return
    fleets = sim.cloud.fleets.now
    fleet = fleets[live.name]
    if fleet.group is None:
        return
    frozen = attrs.evolve(fleet, group=attrs.evolve(fleet.group, frozen=True))
    sim.cloud.fleets.put(
        sim.cloud.now_us, MappingProxyType({**fleets, live.name: frozen})
    )
    sim.oracles.holding[SERVICE].persons.add(live.name)


def add_bystanders(sim: Simulation) -> None:
    """Put fleets into the world that are not the service's: nobody may touch them."""
    for number, (service, ledger) in enumerate(
        ((SERVICE, "another-ledger"), (ServiceName("shop-2"), "their-ledger"))
    ):
        fleet = _bystander(sim, service, ledger, number)
        sim.cloud.fleets.put(
            sim.cloud.now_us,
            MappingProxyType({**sim.cloud.fleets.now, fleet.name: fleet}),
        )
        sim.oracles.bystanders.add(fleet.name)


def _bystander(
    sim: Simulation, service: ServiceName, ledger: str, number: int
) -> Fleet:
    image = make_image(sim.cloud, "theirs")
    health = HealthCheck(port=80)
    release = Release(number=ReleaseNumber(1), image=image, ports=(80,), health=health)
    name = FleetName(f"{service}-v1-00000{number}")
    tags = Tags(
        service=service,
        ledger=LedgerId(ledger),
        deployment=DeploymentId("theirs"),
        release=release.number,
        digest=release.digest,
    )
    spec = FleetSpec(name=name, image=image, document="{}", size=1, port=80, tags=tags)
    server = born(spec, InstanceId(f"{name}-0"), _SOUND, 0)
    return Fleet(name=name, spec=spec, servers=(server,))
