"""Going forward: each rule names the next step, or None when its part is done.

The rules are tried in order at every turn, and the first that is not content decides.
So the last rule to speak, the shift, speaks only when all before it are content with
readings that are fresh.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from immutable.deploying.facts import (
    FleetFact,
    HealthFact,
    Reason,
    SwitchFact,
    VerdictsFact,
)
from immutable.deploying.freezing import (
    be_committed,
    freeze_what_serves,
    hold_still,
    thaw_the_new,
)
from immutable.deploying.steps import (
    Abort,
    Attach,
    Decision,
    Finish,
    Join,
    Launch,
    Replace,
    Resize,
    Route,
    Wait,
)
from immutable.deploying.view import FRESH, POLL, Scene, ready_instances, whole
from immutable.judging import Verdict, VerdictStatus
from immutable.ledger.goals import DeployGoal
from immutable.model import WHOLE, Health, Outcome, Routing

_LOOKS_PER_COUNT = 4
WATCH = timedelta(seconds=1)
"""How often a fleet is judged while it bakes."""
REPLACEMENTS = 3
"""So many instances may die on the way before the release itself is blamed."""

Rule = Callable[[Scene, DeployGoal], Decision | None]


def deploy(scene: Scene, goal: DeployGoal) -> Decision:
    """Return the next step towards making the goal's release live."""
    for rule in BEFORE_TRAFFIC if scene.attempt.stage < 0 else UNDER_TRAFFIC:
        if decision := rule(scene, goal):
            return decision
    return Finish(outcome=Outcome.LIVE, live=scene.fleet)


def obey_the_switch(scene: Scene, goal: DeployGoal) -> Decision | None:
    """Turn back when somebody else has moved production meanwhile."""
    expected = scene.attempt.routed or goal.before
    found = scene.world.switch().routing
    if found.weights == expected.weights:
        return None
    if unsettled := not_yet_shown(scene):
        return unsettled
    message = f"traffic goes to {dict(found.weights)}, not to {dict(expected.weights)}"
    hint = "somebody else moved the switch; it was left alone"
    return Abort(reason=Reason(kind="Drift", message=message, hint=hint))


def not_yet_shown(scene: Scene) -> Decision | None:
    """Wait for a reading that is sure to show what this deployment wrote itself."""
    wrote = scene.attempt.written_at or scene.attempt.begun_at
    until = wrote + scene.context.switch.staleness
    if scene.world.read_at(SwitchFact()) >= until:
        return None
    pause = max(until - scene.now, POLL)
    return Wait(
        on="the switch to show its routing",
        facts=(SwitchFact(),),
        pause=pause,
        until=until + pause,
    )


def attach(scene: Scene, _goal: DeployGoal) -> Decision | None:
    """Give the fleet its place, without traffic."""
    view = scene.world.switch()
    if view.attachment_of(scene.fleet):
        return None
    return Attach(
        fleet=scene.fleet, health=scene.entry.release.health, expected=view.version
    )


def launch(scene: Scene, goal: DeployGoal) -> Decision | None:
    """Create the instances that are missing."""
    if len(scene.instances()) >= scene.size:
        return None
    spec = scene.spec(scene.size)
    # a launch of another size would be another mutation under the same token
    return Launch(spec=spec) if spec.size == goal.size else Resize(spec=spec)


def replace_the_dead(scene: Scene, _goal: DeployGoal) -> Decision | None:
    """Heal the fleet on its way, within reason."""
    dead = next((i for i in scene.dead() if i.id not in scene.attempt.replaced), None)
    if dead is None:
        return None
    if len(scene.attempt.replaced) >= REPLACEMENTS:
        return _not_ready(
            f"{scene.fleet}: {REPLACEMENTS + 1} instances died on the way"
        )
    return Replace(spec=scene.spec(scene.size), instance=dead.id)


def carry_the_digest(scene: Scene, _goal: DeployGoal) -> Decision | None:
    """Accept only instances that were launched from this very release."""
    digest = scene.entry.release.digest
    strange = [
        i.id for i in scene.alive() if not i.digest or not digest.startswith(i.digest)
    ]
    if not strange:
        return None
    return _not_ready(
        f"{', '.join(strange)} were not launched from release {digest[:16]}"
    )


def join(scene: Scene, goal: DeployGoal) -> Decision | None:
    """Tell the switch who belongs to the fleet, where launching does not."""
    return join_all(scene, goal.drain)


def join_all(
    scene: Scene, drain: timedelta, *, even_bound: bool = False
) -> Decision | None:
    """Make the attachment's members exactly the living instances.

    Where launching binds them there is nothing to do, except to mend (``even_bound``).
    """
    attachment = scene.world.switch().attachment_of(scene.fleet)
    bound = scene.context.backend.launch_binds and not even_bound
    if bound or attachment is None:
        return None
    members = scene.members()
    # nearly always they are the same in the same order, which is soon told
    if attachment.members == members or set(attachment.members) == set(members):
        return None
    return Join(fleet=scene.fleet, members=members, drain=drain)


def become_ready(scene: Scene, goal: DeployGoal) -> Decision | None:
    """Wait until the switch's own probes pass for every instance."""
    began = scene.attempt.launched_at or scene.attempt.begun_at
    return _let_it_boot(scene) or wait_ready(scene, began + goal.ready_timeout)


def _let_it_boot(scene: Scene) -> Decision | None:
    """Do not ask at once how ready that is which was launched a moment ago."""
    launched, pace = scene.attempt.launched_at, scene.context.backend.pace
    # another's clock says nothing about moments
    if launched is None or scene.attempt.resumed_at is not None:
        return None
    left = min(launched + pace - scene.now, pace)
    if left <= timedelta():
        return None
    return Wait(on="instances to boot", facts=(), pause=left, until=scene.now + left)


def stay_ready(scene: Scene, goal: DeployGoal) -> Decision | None:
    """Go no further while the fleet is not whole."""
    return wait_ready(scene, _held_until(scene, goal) + goal.ready_timeout)


def wait_ready(scene: Scene, deadline: datetime) -> Decision | None:
    """Wait until every instance is ready as the switch sees it, or time is over."""
    probes = scene.probes(fresh=FRESH)
    if whole(probes, scene.size):
        return None
    ready = f"{len(ready_instances(probes))} of {scene.size} ready"
    if scene.now >= deadline:
        return _not_ready(f"{scene.fleet}: {ready} in time; {_evidence(scene)}")
    pause = _patience(scene)
    facts = _to_look_at(scene, len(probes), pause)
    return Wait(on=ready, facts=facts, pause=pause, until=deadline)


def _to_look_at(
    scene: Scene, known: int, pause: timedelta
) -> tuple[HealthFact | FleetFact, ...]:
    """Count the fleet again less often than it is probed, once the switch knows all of it.

    Who dies meanwhile is no longer ready, and is replaced a few looks later.
    """
    health, fleet = HealthFact(fleet=scene.fleet), FleetFact(fleet=scene.fleet)
    counted = scene.world.read_at(fleet) + _LOOKS_PER_COUNT * pause
    if known >= scene.size and scene.now < counted:
        return (health,)
    return health, fleet


def preview(scene: Scene, goal: DeployGoal) -> Decision | None:
    """Make the fleet reachable off the production path."""
    view = scene.world.switch()
    shown = view.routing.preview == scene.fleet and scene.attempt.checked_at is not None
    if shown or not _previewable(scene):
        return None
    routing = Routing(weights=goal.before.weights, preview=scene.fleet)
    return Route(fleet=scene.fleet, routing=routing, expected=view.version)


def validate(scene: Scene, goal: DeployGoal) -> Decision | None:
    """Let the validators judge the fleet before any production request reaches it."""
    if not _previewable(scene):
        return None
    checked = scene.attempt.checked_at or scene.now
    return _judge(scene, live=False, deadline=checked + goal.validate_timeout)


def keep_capacity(scene: Scene, goal: DeployGoal) -> Decision | None:
    """Never lower the capacity: the incumbent's live size wins."""
    if goal.fixed_size:
        return _as_asked(scene, goal)
    if goal.incumbent is None:
        return None
    incumbent = scene.state.fleet(goal.incumbent)
    view = scene.world.fleet(goal.incumbent, fresh=FRESH)
    kept = incumbent.size if incumbent else 0
    wanted = (view.desired_size if view else None) or kept
    if scene.size >= wanted:
        return None
    return Resize(spec=scene.spec(wanted))


def _as_asked(scene: Scene, goal: DeployGoal) -> Decision | None:
    """Give a standby that is used again the size that the caller chose."""
    if scene.size == goal.size:
        return None
    surplus = tuple(instance.id for instance in scene.alive()[goal.size :])
    return Resize(spec=scene.spec(goal.size), remove=surplus)


def keep_serving(scene: Scene, _goal: DeployGoal) -> Decision | None:
    """Turn back at once when not one instance answers any more."""
    probes = scene.probes(fresh=FRESH)
    if any(probe.health is not Health.UNREADY for probe in probes):
        return None
    if not _is_of_this_stage(scene):
        return None
    return _not_ready(
        f"{scene.fleet}: no instance answers under traffic; {_evidence(scene)}"
    )


def _is_of_this_stage(scene: Scene) -> bool:
    """Return whether what was read is sure to be younger than the shift: readings age."""
    taken = scene.world.read_at(HealthFact(fleet=scene.fleet))
    shifted = scene.attempt.staged_at or scene.now
    return taken >= shifted + scene.context.switch.staleness


def hold(scene: Scene, goal: DeployGoal) -> Decision | None:
    """Watch the stage that was reached; its last verdict must be a pass."""
    held = goal.stages[scene.attempt.stage].hold
    until = (scene.attempt.staged_at or scene.now) + held
    if not held:
        return None
    verdict = _verdict(scene, _held_until(scene, goal) + goal.validate_timeout)
    if scene.now >= until or isinstance(verdict, Abort):
        return verdict
    pause = min(max(WATCH, scene.context.backend.pace), until - scene.now)
    return Wait(on="the bake", facts=_watched(scene), pause=pause, until=until)


def keep_holding(scene: Scene, goal: DeployGoal) -> Decision | None:
    """Before more traffic moves, see that the incumbent is held still, and is no larger."""
    is_last = scene.attempt.stage + 1 == len(goal.stages)
    if is_last or not scene.context.backend.scales_itself:
        return None
    return freeze_what_serves(scene, goal) or keep_capacity(scene, goal)


def _held_until(scene: Scene, goal: DeployGoal) -> datetime:
    """Return the end of the stage; whoever takes it over later begins to judge then."""
    attempt = scene.attempt
    held = (attempt.staged_at or scene.now) + goal.stages[attempt.stage].hold
    return max(held, attempt.resumed_at or held)


def shift(scene: Scene, goal: DeployGoal) -> Decision | None:
    """Move traffic to the next stage, in one write."""
    following = scene.attempt.stage + 1
    if following == len(goal.stages):
        return None
    weight = goal.stages[following].weight if goal.incumbent else WHOLE
    weights = {scene.fleet: weight}
    if goal.incumbent is not None:
        weights[goal.incumbent] = WHOLE - weight
    version = scene.world.switch().version
    routing = Routing(weights=weights)
    return Route(fleet=scene.fleet, routing=routing, expected=version, stage=following)


BEFORE_TRAFFIC: tuple[Rule, ...] = (
    obey_the_switch,
    attach,
    launch,
    hold_still,
    replace_the_dead,
    carry_the_digest,
    join,
    become_ready,
    preview,
    validate,
    freeze_what_serves,
    keep_capacity,
    shift,
)
UNDER_TRAFFIC: tuple[Rule, ...] = (
    obey_the_switch,
    be_committed,
    hold_still,
    replace_the_dead,
    carry_the_digest,
    join,
    keep_serving,
    hold,
    stay_ready,
    keep_holding,
    shift,
    thaw_the_new,
)


def _patience(scene: Scene) -> timedelta:
    """Return how long to wait for the fleet until it is looked at again."""
    waited = scene.now - (scene.attempt.launched_at or scene.attempt.begun_at)
    return scene.context.patience(waited)


def _previewable(scene: Scene) -> bool:
    return scene.context.previewed and scene.context.switch.preview


def _verdict(scene: Scene, deadline: datetime) -> Decision | None:
    if not scene.context.judged:
        return None
    return _judge(scene, live=True, deadline=deadline)


def _judge(scene: Scene, *, live: bool, deadline: datetime) -> Decision | None:
    verdicts = scene.world.verdicts(scene.fleet, live=live)
    open_ = _of(verdicts, VerdictStatus.UNDECIDED)
    if failed := _of(verdicts, VerdictStatus.FAILED):
        return _rejected(f"{failed[0].validator} failed: {failed[0].evidence}")
    if not open_:
        return None
    said = f"{open_[0].validator} is undecided: {open_[0].evidence}"
    if scene.now >= deadline:
        return _rejected(said)
    facts = (VerdictsFact(fleet=scene.fleet, live=live),)
    pause = max(WATCH / 4, scene.context.backend.pace)
    return Wait(on=said, facts=facts, pause=pause, until=deadline)


def _of(verdicts: tuple[Verdict, ...], status: VerdictStatus) -> tuple[Verdict, ...]:
    return tuple(verdict for verdict in verdicts if verdict.status is status)


def _watched(
    scene: Scene,
) -> tuple[SwitchFact | FleetFact | HealthFact | VerdictsFact, ...]:
    fleet = scene.fleet
    return (
        SwitchFact(),
        FleetFact(fleet=fleet),
        HealthFact(fleet=fleet),
        VerdictsFact(fleet=fleet, live=True),
    )


def _rejected(message: str) -> Abort:
    hint = "the old release still serves; see the deployment's evidence"
    return Abort(reason=Reason(kind="ValidationFailed", message=message, hint=hint))


def _not_ready(message: str) -> Abort:
    hint = "see the console logs in the deployment's evidence"
    return Abort(reason=Reason(kind="NotReady", message=message, hint=hint))


def _evidence(scene: Scene) -> str:
    probes = scene.world.health(scene.fleet)
    said = {p.evidence for p in probes if p.health is not Health.READY and p.evidence}
    return f"the switch says {', '.join(sorted(said)) or 'nothing of it'}"
