"""What each verb does on an engine that is open. The public calls are thin over these."""

from datetime import timedelta

import attrs

from immutable.capabilities import Need
from immutable.deploying import (
    admitting,
    choosing,
    finding,
    looking,
    maintaining,
    running,
)
from immutable.deploying.admitting import Wish
from immutable.deploying.engine import Engine
from immutable.deploying.entering import enter, is_leased, load, preflight
from immutable.deploying.freezing import is_astray
from immutable.deploying.planning import Model, forecast
from immutable.errors import (
    BackendError,
    LedgerError,
    Refused,
    StalePlan,
)
from immutable.images.catalogue.state import Catalogue
from immutable.ledger.goals import DeployGoal, HealGoal, ScaleGoal, TidyGoal
from immutable.ledger.state import FleetEntry, State
from immutable.model import (
    FleetView,
    Health,
    HealthCheck,
    Image,
    InstanceId,
    InstanceState,
    Release,
    ReleaseNumber,
    SwitchView,
)
from immutable.results import Deployment, Plan
from immutable.service import Options, check_size


@attrs.frozen(kw_only=True)
class Head:
    """What a plan was made from."""

    ledger: int
    switch: str


def deploy(
    engine: Engine, image: Image, options: Options, *, head: Head | None = None
) -> Deployment:
    """Make an image live. What goes wrong after the arguments is in the result.

    Args:
        engine: the open parts.
        image: what to launch.
        options: what this call was given instead of the service's own settings.
        head: what a plan was made from; the deployment is refused when it has moved.
    """
    began = engine.host.now()
    try:
        engine, state, view = enter(engine)
        _check_head(state, view, head)
        state = finding.sized(engine, state)
        release = _release(engine, state, image, options)
        if admitting.is_live_already(state, release):
            return _resized_or_nothing(engine, state, options)
        wish = Wish(
            verb="deploy", release=release, size=options.size, strategy=options.strategy
        )
        return _make_live(engine, state, wish, options)
    except (Refused, BackendError, LedgerError) as exc:
        return running.refused(engine, "deploy", exc, began=began)


def rollback(engine: Engine, to: int | None, options: Options) -> Deployment:
    """Make an earlier release live: the same algorithm aimed at another release."""
    began = engine.host.now()
    try:
        engine, state, _ = enter(engine)
        state = finding.sized(engine, state)
        catalogue = engine.guard.load()
        target, skipped = choosing.target(engine, state, to, options, catalogue)
        if state.live is not None and state.live.release.number == target.number:
            return running.nothing_to_do(engine, "rollback", began=began)
        wish = Wish(
            verb="rollback",
            release=target,
            size=options.size,
            strategy=options.strategy,
        )
        found = _make_live(engine, state, wish, options, catalogue)
        return attrs.evolve(found, warnings=(*skipped, *found.warnings))
    except (Refused, BackendError, LedgerError) as exc:
        return running.refused(engine, "rollback", exc, began=began)


def scale(
    engine: Engine,
    size: int,
    *,
    timeout: timedelta | None,
    allow_revoked: str | None = None,
) -> Deployment:
    """Make the live fleet another size."""
    check_size(size)
    began = engine.host.now()
    try:
        engine, state, _ = enter(engine)
        live = _live(finding.sized(engine, state))
        if live.size == size:
            return running.nothing_to_do(engine, "scale", began=began)
        goal = _scale_goal(engine, live, size)
        _check_room(engine, live, size - live.size)
        deployment = running.new_deployment(engine)
        choosing.admit_growth(engine, live, size, deployment, allow_revoked)
        return running.run(engine, goal, deployment, timeout=timeout)
    except (Refused, BackendError, LedgerError) as exc:
        return running.refused(engine, "scale", exc, began=began)


def heal(
    engine: Engine, *, timeout: timedelta | None, allow_revoked: str | None = None
) -> Deployment:
    """Replace the live fleet's dead and unready instances."""
    began = engine.host.now()
    try:
        engine, state, switch = enter(engine)
        live = _live(state)
        view = looking.observe(engine, live.name)
        live = finding.as_large_as(live, view, engine)
        unready = _unready(engine, live)
        if not unready and _is_whole(live, view, switch):
            running.tidy(engine)
            return running.nothing_to_do(engine, "heal", began=began)
        goal = HealGoal(
            fleet=live.name,
            unready=unready,
            ready_timeout=engine.service.ready_timeout,
            drain=engine.service.drain,
        )
        deployment = running.new_deployment(engine)
        choosing.admit_healing(engine, live, deployment, allow_revoked)
        return running.run(engine, goal, deployment, timeout=timeout)
    except (Refused, BackendError, LedgerError) as exc:
        return running.refused(engine, "heal", exc, began=began)


def sweep(engine: Engine) -> Deployment:
    """Retire every fleet with this ledger's tags that the ledger does not answer for."""
    began = engine.host.now()
    try:
        engine, state, view = enter(engine)
        orphans = finding.orphans(engine, state, view)
        if not orphans:
            result = running.nothing_to_do(engine, "sweep", began=began)
            return running.with_leftovers(result, running.tidy(engine))
        now, late = engine.host.now(), engine.context.late
        goal = TidyGoal(
            fleets=orphans,
            drain=engine.service.drain,
            settles=maintaining.settled(state, now, late),
        )
        return running.run(engine, goal, running.new_deployment(engine))
    except (Refused, BackendError, LedgerError) as exc:
        return running.refused(engine, "sweep", exc, began=began)


def destroy(engine: Engine) -> Deployment:
    """Close production, then retire every fleet; the history stays."""
    began = engine.host.now()
    try:
        engine, state, view = enter(engine)
        known = tuple(entry.name for entry in state.fleets)
        fleets = known + finding.orphans(engine, state, view)
        if not fleets:
            return running.nothing_to_do(engine, "destroy", began=began)
        goal = TidyGoal(
            fleets=fleets, drain=engine.service.drain, closing=True, before=view.routing
        )
        return running.run(engine, goal, running.new_deployment(engine))
    except (Refused, BackendError, LedgerError) as exc:
        return running.refused(engine, "destroy", exc, began=began)


def recover(engine: Engine) -> Deployment:
    """Finish what a dead deployer left, then retire what is due."""
    began = engine.host.now()
    try:
        engine, state = load(engine)
        admitting.check_free(state, leased=is_leased(state, engine.host))
        if state.attempt is None:
            result = running.nothing_to_do(engine, "recover", began=began)
        else:
            result = running.take_over(engine)
        tidied = running.tidy(engine, searching=result.id is not None)
        return running.with_leftovers(result, tidied)
    except (Refused, BackendError, LedgerError) as exc:
        return running.refused(engine, "recover", exc, began=began)


def plan(engine: Engine, image: Image, options: Options) -> Plan:
    """Return what `deploy` would do. Nothing is changed, not even by recovery.

    Raises:
        Contention, Drift: as the deployment would be refused.
        BackendError: as preflight says.
    """
    engine, state = load(engine)
    admitting.check_free(state, leased=state.attempt is not None)
    view = looking.read_switch(engine)
    admitting.check_drift(state, view, engine.ledger)
    state = finding.sized(engine, state)
    release = _release(engine, state, image, options)
    wish = Wish(
        verb="deploy", release=release, size=options.size, strategy=options.strategy
    )
    goal = admitting.goal_for(
        engine.service, state, wish, running.new_deployment(engine)
    )
    if admitting.is_live_already(state, release):
        return _plan(engine, options, state, view, goal, done=True)
    choosing.check(engine, release.image, options.allow_revoked)
    return _plan(engine, options, state, view, goal, done=False)


def _make_live(
    engine: Engine,
    state: State,
    wish: Wish,
    options: Options,
    catalogue: Catalogue | None = None,
) -> Deployment:
    choosing.check_there(engine, wish.release.image)
    deployment = running.new_deployment(engine)
    goal = admitting.goal_for(engine.service, state, wish, deployment)
    warnings = preflight(engine, state, goal)
    image, override = wish.release.image, options.allow_revoked
    choosing.admit(engine, image, deployment, override, catalogue=catalogue)
    return running.run(
        engine, goal, deployment, timeout=options.timeout, warnings=warnings
    )


def _release(engine: Engine, state: State, image: Image, options: Options) -> Release:
    service = engine.service
    release = Release(
        number=ReleaseNumber(state.next_release),
        image=image,
        configuration=options.configuration,
        ports=service.ports,
        health=HealthCheck(port=service.port, path=service.health),
    )
    live = state.live
    return live.release if live and live.release.digest == release.digest else release


def _resized_or_nothing(engine: Engine, state: State, options: Options) -> Deployment:
    live = _live(state)
    if options.size is None or options.size == live.size:
        running.tidy(engine)
        return running.nothing_to_do(engine, "deploy", began=engine.host.now())
    goal = _scale_goal(engine, live, options.size)
    deployment = running.new_deployment(engine)
    choosing.admit_growth(engine, live, options.size, deployment, options.allow_revoked)
    return running.run(engine, goal, deployment, timeout=options.timeout)


def _live(state: State) -> FleetEntry:
    if state.live is None:
        raise Refused("nothing is live yet", hint="deploy first")
    return state.live


def _scale_goal(engine: Engine, live: FleetEntry, size: int) -> ScaleGoal:
    view = looking.observe(engine, live.name)
    return ScaleGoal(
        fleet=live.name,
        size=size,
        before=live.size,
        initial=tuple(i.id for i in view.instances) if view else (),
        ready_timeout=engine.service.ready_timeout,
        drain=engine.service.drain,
    )


def _check_room(engine: Engine, live: FleetEntry, more: int) -> None:
    image = live.release.image
    need = Need(service=engine.service.name, new_instances=max(more, 0), image=image)
    looking.ask(engine, lambda: engine.backend.preflight(need))


def _unready(engine: Engine, live: FleetEntry) -> tuple[InstanceId, ...]:
    probes = looking.ask(engine, lambda: engine.switch.health(live.name))
    return tuple(p.instance for p in probes if p.health is Health.UNREADY)


def _is_whole(live: FleetEntry, view: FleetView | None, switch: SwitchView) -> bool:
    """Return whether a fleet has exactly its instances, all alive, all members."""
    instances = view.instances if view else ()
    alive = {i.id for i in instances if i.state is not InstanceState.GONE}
    place = switch.attachment_of(live.name)
    members = {member.instance for member in place.members} if place else set()
    held = not is_astray(live, view)
    return held and members == alive and len(alive) == len(instances) == live.size


def _check_head(state: State, view: SwitchView, head: Head | None) -> None:
    if head is None or (head.ledger, head.switch) == (state.sequence, view.version):
        return
    raise StalePlan(
        "the ledger or the switch has moved since the plan", hint="plan again"
    )


def _plan(
    engine: Engine,
    options: Options,
    state: State,
    view: SwitchView,
    goal: DeployGoal,
    *,
    done: bool,
) -> Plan:
    seen = (looking.observe(engine, entry.name) for entry in state.fleets)
    model = Model(view, tuple(fleet for fleet in seen if fleet is not None))
    warnings = () if done else preflight(engine, state, goal)
    ahead = (
        None
        if done
        else forecast(state, goal, engine.context, model, engine.host.now())
    )
    return Plan(
        service=engine.service,
        options=options,
        verb=goal.verb,
        release=goal.release,
        steps=ahead.steps if ahead else (),
        size=goal.size,
        peak_instances=ahead.peak_instances if ahead else model.peak,
        calls=ahead.calls if ahead else 0,
        warnings=warnings,
        ledger_head=state.sequence,
        switch_version=view.version,
    )
