import pickle
from collections.abc import Callable, Iterator
from datetime import timedelta
from types import MappingProxyType

import attrs
import pytest

import immutable
from immutable.deploying import admitting
from immutable.deploying.admitting import Wish
from immutable.deploying.steps import Detach, Fence, Launch, Retire, Route
from immutable.errors import Ambiguous, LedgerError
from immutable.ledger.codec import decode_anew, encode
from immutable.ledger.goals import TidyGoal
from immutable.ledger.records import (
    Begun,
    Finished,
    Intended,
    Record,
    Renewed,
    Result,
    Settled,
)
from immutable.model import (
    FleetName,
    HealthCheck,
    Outcome,
    Routing,
    Tags,
    Token,
)
from immutable.results import Deployment
from immutable.testing import Provider, Script, Simulation, Violation, books, route
from immutable.testing.drawing import add_bystanders
from immutable.testing.planting import plant
from immutable.testing.programs import Action, perform
from immutable.testing.registers import Place, Register
from immutable.testing.servers import Fleet
from immutable.testing.settling import settle
from immutable.testing.store import SERVICE

STREAM = f"{SERVICE}shop"
STRANGER = FleetName("shop-v9-999999")


class World:
    """A service with a live and a standby fleet, and a hand to do bad things with."""

    def __init__(self, **provider: object) -> None:
        self.sim = Simulation(7, provider=Provider(**provider))
        self.service = self.sim.service("shop", size=2)
        for name in ("app-1", "app-2"):
            plant(self.sim, self.service, self.sim.image(name))
        self.old, self.live = self.state.standby.name, self.state.live.name
        self.sim.wait("60s")

    @property
    def state(self):
        return self.sim.oracles.books["shop"].state

    @property
    def register(self) -> Register:
        return self.sim.cloud.switch("shop").now

    def write(self, entry: object, *, by: str = "main", skip: int = 0) -> None:
        """Append a record, as a deployer does."""
        sequence, now = self.state.sequence + 1 + skip, self.sim.here.now()
        record = Record(
            sequence=sequence,
            at=now,
            by=by,
            lease_until=now,
            snapshot=0,
            nonce=self.sim.here.unique(),
            entry=entry,
        )
        self.sim.store.append(STREAM, sequence, encode(record))

    def roll_back(self, name: str = "first") -> None:
        """Let a rollback to the standby begin."""
        release = self.state.fleet(self.old).release
        wish = Wish(
            verb="rollback", release=release, size=None, strategy=self.service.strategy
        )
        goal = admitting.goal_for(self.service, self.state, wish, name)
        self.write(Begun(deployment=name, goal=goal))

    def retire(self, *fleets: FleetName) -> None:
        """Let a retirement begin: these fleets are tombstones from here on."""
        goal = TidyGoal(fleets=fleets, drain=timedelta())
        self.write(Begun(deployment="retirement", goal=goal))

    def intend(self, step: object) -> None:
        """Say what is going to be done."""
        self.write(Intended(number=self.state.attempt.steps + 1, step=step))

    def shift(self, weights: dict[FleetName, int], *, preview: object = None) -> None:
        """Say that traffic is going to be moved, and move it."""
        expected = self.service.switch.read().version
        routing = Routing(weights=weights, preview=preview)
        self.intend(Route(fleet=self.old, routing=routing, expected=expected))
        self.service.switch.write(routing, owner=self.register.owner, expected=expected)

    def destroy(self, fleet: FleetName) -> None:
        """Say that a fleet is going to be destroyed, and destroy it."""
        self.intend(Retire(fleet=fleet))
        self.sim.backend.fleets.retire(fleet, token=Token("t"))

    def put_fleet(self, name: FleetName, fleet: Fleet | None) -> None:
        """Change the truth past everybody."""
        fleets = {**self.sim.cloud.fleets.now, name: fleet}
        kept = {name: fleet for name, fleet in fleets.items() if fleet is not None}
        self.sim.cloud.fleets.put(self.sim.cloud.now_us, MappingProxyType(kept))

    def put_register(self, **changes: object) -> None:
        """Change what the switch holds past everybody."""
        changed = attrs.evolve(self.register, **changes)
        self.sim.cloud.switch("shop").put(self.sim.cloud.now_us, changed)

    def fleet(self, name: FleetName) -> Fleet:
        return self.sim.cloud.fleets.now[name]


@pytest.fixture
def world() -> Iterator[World]:
    """Return a world at rest."""
    made = World()
    with made.sim:
        yield made
    made.sim.close()


@pytest.fixture(autouse=True)
def _forget_failures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the world be left after a violation that was wanted."""
    monkeypatch.setattr(Simulation, "check", lambda _: None)


def broken(rule: str) -> object:
    """Expect a violation of one rule."""
    return pytest.raises(Violation, match=f"^{rule}: ")


def test_what_is_right_breaks_no_rule(world):
    """The hand of these tests can do right, too: a rollback, written record by record."""
    world.roll_back()
    world.shift({world.old: 100})
    world.write(Settled(number=1, result=Result.APPLIED))
    world.write(Finished(outcome=Outcome.LIVE, live=world.old))
    assert settle(world.sim, world.service).how == "clean"
    assert dict(world.register.routing.weights) == {world.old: 100}


def test_unready_a_dead_server_is_no_proof(world):
    """Traffic for a fleet one of whose servers has been dead for long breaks the rule."""
    world.roll_back()
    world.sim.kill_server(world.fleet(world.old).servers[0].id)
    world.sim.wait("6s")
    with broken("unready"):
        world.shift({world.old: 100})


def test_ready_a_moment_ago_is_proof_enough(world):
    """What was whole and ready within five seconds before the request was sent may serve."""
    world.roll_back()
    world.sim.kill_server(world.fleet(world.old).servers[0].id)
    world.sim.wait("4s")
    world.shift({world.old: 100})


def test_unready_another_digest_is_no_proof(world):
    """Every server has to be of the release that the ledger says."""
    fleet = world.fleet(world.old)
    first = attrs.evolve(fleet.servers[0], digest="0" * 16)
    servers = (first, *fleet.servers[1:])
    world.put_fleet(world.old, attrs.evolve(fleet, servers=servers))
    world.roll_back()
    world.sim.wait("6s")
    with broken("unready"):
        world.shift({world.old: 100})


def test_unready_no_members_is_no_proof(world):
    """A fleet without members is not ready."""
    places = tuple(attrs.evolve(p, joined=()) for p in world.register.places)
    world.put_register(places=places)
    world.roll_back()
    world.sim.wait("6s")
    with broken("unready"):
        world.shift({world.old: 100})


def test_a_weight_that_is_not_raised_needs_no_proof(world):
    """Writing what is served anyway proves nothing and needs nothing."""
    world.sim.kill_server(world.fleet(world.live).servers[0].id)
    world.sim.wait("10s")
    world.roll_back()
    world.shift({world.live: 100})


def test_unknown_the_ledger_must_know_who_serves(world):
    """A fleet that has a place and that the ledger never heard of gets no traffic."""
    world.put_fleet(STRANGER, attrs.evolve(world.fleet(world.old), name=STRANGER))
    place = Place(fleet=STRANGER, health=HealthCheck(port=80))
    world.put_register(places=(*world.register.places, place))
    world.roll_back()
    with broken("unknown"):
        world.shift({STRANGER: 100})


def test_capacity_is_not_lowered(world):
    """A fleet that takes over with fewer than the incumbent breaks the rule."""
    world.put_register(
        places=tuple(
            attrs.evolve(p, joined=p.joined[:1]) if p.fleet == world.old else p
            for p in world.register.places
        )
    )
    world.sim.wait("10s")
    world.roll_back()
    with broken("capacity"):
        world.shift({world.old: 100})


def test_tombstone_what_is_retired_gets_nothing(world):
    """A fleet whose retirement was journalled gets no weight by a later intent."""
    world.retire(world.old)
    with broken("tombstone"):
        world.shift({world.live: 50, world.old: 50})


@pytest.mark.parametrize("routed", [True, False])
def test_destroyed_what_is_in_use_stays(world, routed):
    """Neither what has traffic nor what has a place may be destroyed."""
    world.roll_back()
    with broken("destroyed"):
        world.destroy(world.live if routed else world.old)


def test_destroyed_a_preview_counts(world):
    """What the preview route shows may not be destroyed, whatever its place."""
    world.put_register(
        places=(), routing=attrs.evolve(world.register.routing, preview=world.old)
    )
    world.roll_back()
    with broken("destroyed"):
        world.destroy(world.old)


def test_settled_a_place_outlives_its_traffic():
    """A fleet keeps its place while older routings may still be served."""
    world = World(settle="60s")
    world.roll_back()
    world.shift({world.old: 100})
    expected = world.service.switch.read().version
    world.intend(Detach(fleet=world.live, expected=expected))
    with broken("settled"):
        world.service.switch.detach(
            world.live, owner=world.register.owner, expected=expected
        )


def test_intent_nothing_is_asked_for_unsaid(world):
    """An effect without any record before it breaks the rule."""
    world.roll_back()
    with broken("intent"):
        world.sim.backend.fleets.retire(world.old, token=Token("t"))


def test_intent_nothing_else_is_asked_for(world):
    """An effect with other parameters than were journalled breaks the rule."""
    world.roll_back()
    world.intend(Retire(fleet=world.old))
    with broken("intent"):
        world.sim.backend.fleets.retire(world.live, token=Token("t"))


def test_intent_is_each_process_own(world):
    """What one process intended is not for another to do."""
    world.roll_back()
    world.intend(Retire(fleet=world.old))
    fleets = world.sim.backend.fleets
    world.sim.spawn("other", lambda: fleets.retire(world.old, token=Token("t")))
    with broken("intent"):
        world.sim.run()


def test_token_one_for_one_thing(world):
    """A token that was used may not be used for something else."""
    world.roll_back()
    world.destroy(FleetName("shop-v7-777777"))
    world.destroy(FleetName("shop-v7-777777"))
    with broken("token"):
        world.destroy(FleetName("shop-v8-888888"))


def test_tags_everything_says_whose_it_is(world):
    """A fleet without a deployment in its tags breaks the rule."""
    world.roll_back()
    spec = world.fleet(world.old).spec
    spec = attrs.evolve(
        spec, name=STRANGER, tags=attrs.evolve(spec.tags, deployment="")
    )
    world.intend(Launch(spec=spec))
    with broken("tags"):
        world.sim.backend.fleets.launch(spec, token=Token("t"))


def test_routing_names_what_exists(world):
    """Writing a routing whose fleet is gone breaks the rule, even if nothing is raised."""
    world.roll_back()
    world.put_fleet(world.live, None)
    expected = world.service.switch.read().version
    routing = attrs.evolve(world.register.routing, preview=world.old)
    world.intend(Fence(fleet=world.old, routing=routing, expected=expected))
    with broken("routing"):
        world.service.switch.write(
            routing, owner=world.register.owner, expected=expected
        )


@pytest.mark.parametrize(("rule", "again"), [("served", False), ("turn", True)])
def test_a_late_write_moves_nothing_out_of_its_turn(rule, again):
    """A write that lands after its deployment has ended breaks a rule, whoever is next."""
    world = World(late="60s")
    world.sim.set_faults([Script("late", "switch.write")])
    world.roll_back()
    with pytest.raises(Ambiguous):
        world.shift({world.old: 100})
    world.write(Settled(number=1, result=Result.NOT_APPLIED))
    world.write(Finished(outcome=Outcome.ROLLED_BACK, live=world.live))
    if again:
        world.roll_back("second")
    with broken(rule):
        world.sim.wait("60s")


def test_served_what_is_live_is_served_in_the_end(world):
    """A deployment that ends as live with the traffic elsewhere breaks the rule."""
    world.roll_back()
    with broken("served"):
        world.write(Finished(outcome=Outcome.LIVE, live=world.old))


def test_drift_what_a_person_routed_is_left_alone(world):
    """A deployment that overwrites a person's routing breaks the rule."""
    world.roll_back()
    route(world.sim, "shop", {})
    with broken("drift"):
        world.shift({world.old: 100})


def test_a_person_may_change_their_mind(world):
    """Once a person has moved traffic back, nothing is drifted."""
    world.roll_back()
    route(world.sim, "shop", {})
    route(world.sim, "shop", {world.live: 100})
    world.shift({world.old: 100})


@pytest.mark.parametrize(
    "bad",
    [
        lambda world: world.write(Renewed()),
        lambda world: (world.roll_back("first"), world.roll_back("second")),
        lambda world: world.roll_back("planted-1"),
    ],
    ids=["a record after the end", "two at once", "the same again"],
)
def test_terminal_what_has_ended_stays_ended(world, bad):
    """Records of nothing, two open deployments, and a second life break the rule."""
    with broken("terminal"):
        bad(world)


def test_holder_only_who_took_over_writes(world):
    """A process that never began or took over may not write of a deployment."""
    world.roll_back()
    world.sim.spawn("other", lambda: world.write(Renewed(), by="other"))
    with broken("holder"):
        world.sim.run()


def test_holder_nobody_writes_for_another(world):
    """A record says who wrote it."""
    with broken("holder"):
        world.write(
            Begun(
                deployment="x",
                goal=TidyGoal(fleets=(world.old,), drain=timedelta()),
            ),
            by="other",
        )


def test_sequence_has_no_gaps(world):
    """A record beyond the next number breaks the rule."""
    with broken("sequence"):
        world.write(
            Begun(deployment="x", goal=TidyGoal(fleets=(), drain=timedelta())),
            skip=1,
        )


def test_stranger_others_are_left_alone(world):
    """Touching a fleet of another service, or of another ledger, breaks the rule."""
    add_bystanders(world.sim)
    bystander = min(world.sim.oracles.bystanders)
    world.roll_back()
    with broken("stranger"):
        world.destroy(bystander)


def idle(_service: object) -> Deployment:
    """Do nothing, as if there were nothing to do."""
    return Deployment(
        service="shop",
        verb="recover",
        outcome=Outcome.LIVE,
        began_at=None,
        took=timedelta(),
    )


@pytest.fixture
def lazy(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return what makes one of the public calls do nothing."""
    return lambda name: monkeypatch.setattr(immutable, name, idle)


def test_liveness_all_has_to_end(world, lazy):
    """A deployment that recovery leaves open breaks the rule."""
    world.roll_back()
    lazy("recover")
    lazy("sweep")
    with broken("liveness"):
        settle(world.sim, world.service)


def leave_a_fleet(world: World) -> None:
    """Leave a fleet that nobody knows of."""
    world.put_fleet(STRANGER, attrs.evolve(world.fleet(world.old), name=STRANGER))


def leave_a_place(world: World) -> None:
    """Leave a place that nobody knows of."""
    place = Place(fleet=STRANGER, health=HealthCheck(port=80))
    world.put_register(places=(*world.register.places, place))


def leave_a_server(world: World) -> None:
    """Leave a server too many in the live fleet."""
    fleet = world.fleet(world.live)
    more = attrs.evolve(fleet.servers[0], id="one-too-many")
    world.put_fleet(world.live, attrs.evolve(fleet, servers=(*fleet.servers, more)))


def leave_a_member_out(world: World) -> None:
    """Leave a server of the live fleet out of its place."""
    places = tuple(attrs.evolve(p, joined=p.joined[:1]) for p in world.register.places)
    world.put_register(places=places)


def leave_a_preview(world: World) -> None:
    """Leave the preview route on."""
    world.put_register(routing=attrs.evolve(world.register.routing, preview=world.old))


@pytest.mark.parametrize(
    "leave",
    [
        leave_a_fleet,
        leave_a_place,
        leave_a_server,
        leave_a_member_out,
        leave_a_preview,
        lambda world: world.put_fleet(world.old, None),
    ],
)
def test_inventory_nothing_is_left_over(world, lazy, leave):
    """Whatever the ledger does not say, and whatever it says in vain, breaks the rule."""
    lazy("sweep")
    leave(world)
    with broken("inventory"):
        settle(world.sim, world.service)


def test_repeated_doing_it_again_changes_nothing(world, monkeypatch):
    """A recovery that still changes something at rest breaks the rule."""
    calls = []

    def restless(service: object) -> Deployment:
        calls.append(service)
        if len(calls) > 1:
            world.retire()
            world.write(Finished(outcome=Outcome.LIVE, live=world.live))
        return idle(service)

    monkeypatch.setattr(immutable, "recover", restless)
    with broken("repeated"):
        settle(world.sim, world.service)


def test_raised_errors_are_returned(world, monkeypatch):
    """A public call that raises what it should have returned breaks the rule."""

    def rude(_service: object) -> None:
        raise LedgerError("the disk is full")

    monkeypatch.setattr(immutable, "recover", rude)
    with broken("raised"):
        perform(world.sim, world.service, Action(verb="recover"))


def test_refused_touched_nothing(world, monkeypatch):
    """A call that says it was refused, and has begun, breaks the rule."""

    def liar(service: object) -> Deployment:
        world.roll_back()
        return attrs.evolve(idle(service), outcome=Outcome.REFUSED)

    monkeypatch.setattr(immutable, "recover", liar)
    with broken("refused"):
        perform(world.sim, world.service, Action(verb="recover"))


def test_superseded_by_somebody(world, monkeypatch):
    """Who says that another took over, and holds the deployment, breaks the rule."""

    def timid(service: object) -> Deployment:
        world.roll_back()
        return attrs.evolve(idle(service), outcome=Outcome.SUPERSEDED)

    monkeypatch.setattr(immutable, "recover", timid)
    with broken("superseded"):
        perform(world.sim, world.service, Action(verb="recover"))


def test_a_violation_tells_how_to_see_it_again(world):
    """It names the seed and the last lines of the trace, and crosses processes."""
    world.roll_back()
    with broken("destroyed") as caught:
        world.destroy(world.live)
    found = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes
    assert (found.rule, found.seed) == ("destroyed", 7)
    assert "seed 7" in str(found)
    assert "ledger.append service/shop" in found.tail
    assert len(found.tail.splitlines()) <= 25


def test_the_engine_cannot_swallow_a_violation(monkeypatch):
    """The engine takes a backend's bug for a lost answer; a violation still comes out."""
    monkeypatch.setattr(Tags, "to_mapping", lambda _: {})
    sim = Simulation(1)
    service = sim.service("shop")
    with sim, broken("tags"):
        immutable.deploy(service, sim.image("app"))


def test_codec_a_record_that_reads_otherwise_than_it_was_written(world, monkeypatch):
    """In every sixteenth simulation the bytes are compared with what was encoded."""

    def lossy(data: bytes) -> Record:
        return attrs.evolve(decode_anew(data), nonce="another")

    world.roll_back()
    monkeypatch.setattr(books, "decode_anew", lossy)
    monkeypatch.setattr(world.sim.judge, "seed", 16)
    with broken("codec"):
        world.write(Renewed())
