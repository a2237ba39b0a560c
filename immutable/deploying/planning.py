"""What would happen: the same `decide`, run against a model of the world until it ends.

The model answers as a world would in which every effect succeeds, every instance becomes
ready and every validator passes.
"""

from datetime import datetime, timedelta

import attrs

from immutable.deploying.decide import decide
from immutable.deploying.facts import (
    EvidenceFact,
    Fact,
    FleetFact,
    HealthFact,
    SessionsFact,
    SwitchFact,
    Value,
    VerdictsFact,
    World,
)
from immutable.deploying.spoiling import spoilt_by
from immutable.deploying.steps import (
    Attach,
    Finish,
    Freeze,
    Join,
    Launch,
    Look,
    Replace,
    Resize,
    Route,
    Thaw,
    Wait,
    name_of,
)
from immutable.deploying.telling import detail_of
from immutable.deploying.view import Context
from immutable.ledger.fold import fold
from immutable.ledger.goals import Goal
from immutable.ledger.records import Begun, Entry, Intended, Record, Result, Settled
from immutable.ledger.state import State
from immutable.model import (
    Attachment,
    DeploymentId,
    FleetSpec,
    FleetView,
    Health,
    Instance,
    InstanceId,
    InstanceState,
    Probe,
    SwitchView,
)
from immutable.results import PlannedStep

_LIMIT = 1000
Ahead = Attach | Launch | Join | Route | Resize | Replace | Freeze | Thaw
"""What a plan can meet: where all goes well, nothing is fenced, detached or retired."""


@attrs.frozen(kw_only=True)
class Forecast:
    """The effects in order, how many calls there are, and the most instances at once."""

    steps: tuple[PlannedStep, ...]
    calls: int
    peak_instances: int


class Model:
    """A world in which all goes well."""

    def __init__(self, view: SwitchView, fleets: tuple[FleetView, ...]) -> None:
        self._view = view
        self._fleets = {fleet.name: fleet for fleet in fleets}
        self.peak = self._count()

    def answer(self, fact: Fact) -> Value:
        """Return what the world would say."""
        match fact:
            case SwitchFact():
                return self._view
            case FleetFact(fleet=fleet):
                return self._fleets.get(fleet)
            case HealthFact(fleet=fleet):
                instances = (
                    self._fleets[fleet].instances if fleet in self._fleets else ()
                )
                return tuple(
                    Probe(instance=i.id, health=Health.READY) for i in instances
                )
            case VerdictsFact() | SessionsFact() | EvidenceFact():
                return ()  # nobody objects; the others are asked for after a plan's end

    def apply(self, effect: Ahead) -> None:
        """Change the model as the effect would change the world."""
        match effect:
            case Launch(spec=spec) | Resize(spec=spec) | Replace(spec=spec):
                self._fleets[spec.name] = _launched(spec)
            case Freeze(fleet=fleet) if fleet in self._fleets:
                held = attrs.evolve(self._fleets[fleet], frozen=True)
                self._fleets[fleet] = held
            case Route(routing=routing):
                self._view = attrs.evolve(self._view, routing=routing)
            case Attach() | Join():
                self._change_places(effect)
        self.peak = max(self.peak, self._count())

    def _change_places(self, effect: Attach | Join) -> None:
        others = tuple(a for a in self._view.attachments if a.fleet != effect.fleet)
        members = effect.members if isinstance(effect, Join) else ()
        place = Attachment(fleet=effect.fleet, place="", members=members)
        self._view = attrs.evolve(self._view, attachments=(*others, place))

    def _count(self) -> int:
        return sum(len(fleet.instances) for fleet in self._fleets.values())


def forecast(
    state: State, goal: Goal, context: Context, model: Model, now: datetime
) -> Forecast:
    """Return what reaching the goal would take, if all goes well."""
    state = _told(state, Begun(deployment=DeploymentId("plan"), goal=goal), now)
    world, calls = World(now=now), 0
    steps: list[PlannedStep] = []
    for _ in range(_LIMIT):
        match decide(state, world, context):
            case Finish():
                return Forecast(
                    steps=tuple(steps), calls=calls, peak_instances=model.peak
                )
            case Look(fact=fact):
                world, calls = world.learn(fact, model.answer(fact)), calls + 1
            case Wait(until=until, facts=facts):
                world = attrs.evolve(world, now=until).forget(*facts)
            case (
                Attach()
                | Launch()
                | Join()
                | Route()
                | Resize()
                | Replace()
                | Freeze()
                | Thaw() as effect
            ):
                steps.append(_planned(effect))
                model.apply(effect)
                state = _applied(state, effect, world.now)
                world, calls = world.forget(*spoilt_by(effect)), calls + 1
            case other:
                raise AssertionError(f"a plan cannot meet {name_of(other)}")
    raise AssertionError("a plan did not end")


def _planned(effect: Ahead) -> PlannedStep:
    return PlannedStep(
        step=name_of(effect), fleet=effect.fleet, detail=detail_of(effect)
    )


def _applied(state: State, effect: Ahead, now: datetime) -> State:
    number = state.attempt.steps + 1 if state.attempt else 1
    state = _told(state, Intended(number=number, step=effect), now)
    return _told(state, Settled(number=number, result=Result.APPLIED), now)


def _told(state: State, entry: Entry, now: datetime) -> State:
    record = Record(
        sequence=state.sequence + 1,
        at=now,
        by="plan",
        lease_until=now + timedelta(days=1),
        snapshot=state.snapshot,
        nonce="",
        entry=entry,
    )
    return fold(state, record)


def _launched(spec: FleetSpec) -> FleetView:
    return FleetView(
        name=spec.name, instances=tuple(_instance(spec, n) for n in range(spec.size))
    )


def _instance(spec: FleetSpec, number: int) -> Instance:
    return Instance(
        id=InstanceId(f"{spec.name}-{number}"),
        fleet=spec.name,
        state=InstanceState.RUNNING,
        address=f"planned-{number}",
        digest=spec.tags.digest[:16],
    )
