"""What an effect changes: which facts it makes stale, and whether a reading shows it."""

from immutable.deploying.facts import (
    Fact,
    FleetFact,
    HealthFact,
    SessionsFact,
    SwitchFact,
    Value,
    VerdictsFact,
)
from immutable.deploying.steps import (
    Detach,
    Effect,
    Fence,
    Freeze,
    Join,
    Launch,
    Replace,
    Resize,
    Retire,
    Route,
    Thaw,
)
from immutable.model import FleetView, InstanceState, SwitchView


def spoilt_by(effect: Effect) -> tuple[Fact, ...]:
    """Return the facts that an applied effect makes stale."""
    fleet = effect.fleet
    if isinstance(effect, Freeze | Thaw):
        return (FleetFact(fleet=fleet),)
    of_fleet: tuple[Fact, ...] = (
        HealthFact(fleet=fleet),
        SessionsFact(fleet=fleet),
        VerdictsFact(fleet=fleet, live=False),
        VerdictsFact(fleet=fleet, live=True),
    )
    if isinstance(effect, Launch | Resize | Replace | Retire):
        return (FleetFact(fleet=fleet), *of_fleet)
    return (SwitchFact(), *of_fleet)


def shows(value: Value, effect: Effect) -> bool:
    """Return whether a reading of the switch or the fleet may be younger than an effect."""
    if isinstance(value, SwitchView):
        return _is_written(value, effect)
    if isinstance(value, FleetView):
        return _is_changed(value, effect)
    return isinstance(effect, Retire | Freeze | Thaw)


def _is_written(view: SwitchView, effect: Effect) -> bool:
    place = view.attachment_of(effect.fleet)
    match effect:
        case Route(routing=routing) | Fence(routing=routing):
            return view.routing == routing
        case Join(members=members):
            return place is not None and set(place.members) == set(members)
        case Detach():
            return place is None
        case _:
            return place is not None


def _is_changed(view: FleetView, effect: Effect) -> bool:
    living = {i.id for i in view.instances if i.state is not InstanceState.GONE}
    match effect:
        case Launch(spec=spec):
            return len(living) >= spec.size
        case Resize(spec=spec, remove=remove):
            return len(living) >= spec.size and living.isdisjoint(remove)
        case Replace(spec=spec, instance=instance):
            return len(living) >= spec.size and instance not in living
        case Freeze() | Thaw():
            return view.frozen is isinstance(effect, Freeze)
        case _:
            return False
