"""One world from its beginning to its end, with a death on the way, or two."""

from datetime import timedelta

import attrs

import immutable
from immutable.errors import Contention
from immutable.model import Outcome
from immutable.testing.registers import Kind
from immutable.testing.scheduling import Process
from proofs.kills.dooms import Death, Doom
from proofs.kills.ending import (
    Allowed,
    Broken,
    End,
    check_repeated,
    come_to_rest,
    end_of,
)
from proofs.kills.scenarios import Scenario
from proofs.kills.stage import EFFECTS, Call, LastCallLate, Stage, Terms

_ENDED_WELL = frozenset({Outcome.LIVE, Outcome.ROLLED_BACK})


@attrs.frozen(kw_only=True)
class Case:
    """A scenario on one kind of switch."""

    scenario: Scenario
    kind: Kind
    seed: int = 0
    late: timedelta = timedelta()
    """How late effects may land by the provider's word, at the least."""
    groups: bool = False
    """Fleets are native groups, which their provider heals by itself."""

    def stage(self, path: tuple[Doom, ...]) -> Stage:
        """Return a world as long-winded as these deaths need."""
        late = max((self.late, *(doom.late for doom in path)))
        return Stage(
            Terms(kind=self.kind, seed=self.seed, late=late, groups=self.groups)
        )


@attrs.frozen(kw_only=True)
class Cost:
    """What a process cost while it lived."""

    calls: int
    """Calls to the backend and the switch."""
    effects: int
    """Those among them that change something."""
    took: timedelta


@attrs.frozen(kw_only=True)
class Flight:
    """A call that outlived its caller, beside what happened meanwhile."""

    landed_us: int
    """When it landed, from the death on."""
    instants_us: tuple[int, ...]
    """When the process that cleared up heard the answers to its own calls."""


@attrs.frozen(kw_only=True)
class Life:
    """What became of one world."""

    path: tuple[Doom, ...]
    deaths: tuple[str, ...]
    """The points at which processes died."""
    points: tuple[str, ...]
    """Those that the last process passed, whom nobody killed."""
    costs: tuple[Cost, ...]
    """What each process cost, in order."""
    flight: Flight | None
    """Where the first death left something in flight."""
    end: End


def before(case: Case) -> End:
    """Return how a world comes to rest in which the call was never made."""
    stage = case.stage(())
    prepare = case.scenario.origin or case.scenario.prepare
    with stage.sim:
        prepare(stage)
        return come_to_rest(stage)


def live(case: Case, path: tuple[Doom, ...], allowed: Allowed | None = None) -> Life:
    """Make a world, let processes die in it one after the other, and see how it ends.

    Args:
        case: what is done, where.
        path: how each process but the last one dies; the first makes the scenario's
            call, each of the others recovers.
        allowed: how it may end; None: that is what is asked.

    Raises:
        Violation: an oracle was offended.
        Broken: what was promised did not come true.
    """
    stage = case.stage(path)
    try:
        with stage.sim:
            return live_on(stage, case, path, allowed)
    finally:
        stage.sim.close()


def live_on(
    stage: Stage, case: Case, path: tuple[Doom, ...], allowed: Allowed | None
) -> Life:
    """As `live`, on a stage of the caller's own, whose simulation was entered."""
    scenario = case.scenario
    scenario.prepare(stage)
    stage.begin()
    decided: bool | None = True
    work, died_us = scenario.call, 0
    costs: list[Cost] = []
    deaths: list[str] = []
    for number, doom in enumerate(path, 1):
        process, cost = _die(stage, f"process-{number}", work, doom)
        decided = decided if deaths else _decision(stage, scenario, process, doom)
        died_us = died_us or stage.sim.cloud.now_us
        _bury(stage, process, doom)
        costs.append(cost)
        deaths.append(process.points[-1])
        work = scenario.again
    last, cost = _survive(stage, f"process-{len(path) + 1}", work, scenario, path)
    # nothing is in flight after two known deaths: rest must have come by itself
    calm = len(path) > 1 and not scenario.swept and not _is_flying(path)
    end = end_of(stage) if calm else come_to_rest(stage)
    if allowed is not None:
        allowed.judge(end, decided=decided)
    return Life(
        path=path,
        deaths=tuple(deaths),
        points=tuple(last.points),
        costs=(*costs, cost),
        flight=_flight(stage, died_us, last) if _is_flying(path[:1]) else None,
        end=end,
    )


def _flight(stage: Stage, died_us: int, last: Process) -> Flight:
    lines = [line for line in stage.sim.trace.lines if line.at_us >= died_us]
    landed = [n.at_us for n in lines if n.process == "process-1" and "late" in n.what]
    heard = [line.at_us - died_us for line in lines if line.process == last.name]
    if not landed:
        raise Broken("what was in flight has never landed")
    return Flight(landed_us=landed[-1] - died_us, instants_us=tuple(heard))


def _is_flying(path: tuple[Doom, ...]) -> bool:
    return any(doom.is_flying for doom in path)


def _die(stage: Stage, name: str, work: Call, doom: Doom) -> tuple[Process, Cost]:
    began_us = stage.sim.cloud.now_us
    stage.sim.gate.late_us = doom.late_us
    faults = LastCallLate if doom.is_flying else None
    process, _ = stage.live(name, work, kill_at=doom.at, faults=faults)
    if not process.is_killed or len(process.points) != doom.at:
        raise Broken(f"{name} did not come to crash point {doom.at}")
    if doom.is_flying and process.points[-1].removeprefix("after:") not in EFFECTS:
        raise Broken(f"{name} had nothing in flight at crash point {doom.at}")
    return process, _cost(stage, process, began_us)


def _decision(
    stage: Stage, scenario: Scenario, process: Process, doom: Doom
) -> bool | None:
    """Return how it must end; None where a write is in flight that decides."""
    decided = scenario.decided(stage)
    undecided = doom.is_flying and process.points[-1] == "after:switch.write"
    return None if undecided and not decided else decided


def _bury(stage: Stage, process: Process, doom: Doom) -> None:
    """Let others know of a death, at once or when the lease has ended."""
    if doom.death is not Death.SILENT:
        process.is_known_dead = True
        return
    if stage.state.attempt is None:
        return
    before = stage.truth()
    refused = immutable.recover(stage.service)
    if not isinstance(refused.error, Contention) or stage.truth() != before:
        raise Broken(f"recover() against an unexpired lease: {refused.outcome}")
    stage.outlast_the_lease()


def _survive(
    stage: Stage, name: str, work: Call, scenario: Scenario, path: tuple[Doom, ...]
) -> tuple[Process, Cost]:
    began_us = stage.sim.cloud.now_us
    process, done = stage.live(name, work)
    cost = _cost(stage, process, began_us)
    wanted = _ENDED_WELL if path else {scenario.outcome}
    if done is None or done.outcome not in wanted:
        raise Broken(f"{name} ended {done and done.outcome}: {done and done.error}")
    if not _is_flying(path):
        check_repeated(stage)
    return process, cost


def _cost(stage: Stage, process: Process, began_us: int) -> Cost:
    calls = [p.removeprefix("before:") for p in process.points if "before:" in p]
    outside = [call for call in calls if not call.startswith("ledger.")]
    return Cost(
        calls=len(outside),
        effects=sum(call in EFFECTS for call in outside),
        took=timedelta(microseconds=stage.sim.cloud.now_us - began_us),
    )
