"""One cell: a call is struck, what it returns is judged, and everything comes to rest."""

import functools
from datetime import timedelta

import attrs

from immutable.errors import Contention
from immutable.model import Outcome
from immutable.results import Deployment
from immutable.testing.registers import Kind
from proofs.faults.cells import CALLER, Cell, Recorder
from proofs.kills.ending import Allowed, Broken, End, come_to_rest
from proofs.kills.scenarios import Scenario
from proofs.kills.stage import Stage, Terms

LATE = timedelta(seconds=20)
"""How late an effect may land that was given up."""
STALENESS = timedelta(seconds=1)
_HEALED = timedelta(seconds=5)
PATIENCE = timedelta(hours=2)
"""Whatever happens, a call has returned by then."""


@attrs.frozen(kw_only=True)
class Strike:
    """What became of one cell."""

    struck: int
    outcome: Outcome
    took: timedelta


@attrs.frozen(kw_only=True)
class Trial:
    """A scenario on one kind of switch, with the ends that it may have."""

    scenario: Scenario
    kind: Kind
    seed: int
    groups: bool
    cells: tuple[Cell, ...]
    allowed: Allowed

    def strike(self, cell: Cell) -> Strike:
        """Strike one cell.

        Raises:
            Violation: an oracle was offended.
            Broken: what was promised did not come true.
        """
        stage = stage_of(self.kind, self.seed, groups=self.groups)
        try:
            with stage.sim:
                return self.strike_on(stage, cell)
        finally:
            stage.sim.close()

    def strike_on(self, stage: Stage, cell: Cell) -> Strike:
        """As `strike`, on a stage of the caller's own, whose simulation was entered."""
        self.scenario.prepare(stage)
        stage.begin()
        script, before = cell.script(), stage.truth()
        began_us = stage.sim.cloud.now_us
        _, done = stage.live(CALLER, self.scenario.call, faults=lambda _: script)
        took = timedelta(microseconds=stage.sim.cloud.now_us - began_us)
        outcome = _check(done, took)
        if outcome is Outcome.REFUSED and stage.truth() != before:
            raise Broken("REFUSED says that nothing was touched, but something was")
        if outcome is Outcome.NEEDS_RECOVERY and self.scenario.afterwards:
            self.scenario.afterwards(stage)
        self.allowed.judge(_rest(stage), decided=self._decided(outcome))
        return Strike(struck=script.struck, outcome=outcome, took=took)

    def _decided(self, outcome: Outcome) -> bool | None:
        """Return how it must end by what the caller was told."""
        if outcome is Outcome.LIVE and self.scenario.outcome is not outcome:
            raise Broken("LIVE, though the release is bad")
        if self.scenario.swept or outcome is Outcome.LIVE:
            return True
        # a recovery that gave up leaves its decision to the next one
        recovering = self.scenario.origin is not None
        left = outcome is Outcome.NEEDS_RECOVERY or (
            recovering and outcome is Outcome.REFUSED
        )
        return None if left else False


def stage_of(kind: Kind, seed: int, *, groups: bool = False) -> Stage:
    """Return a world in which everything can go wrong that there is."""
    return Stage(
        Terms(kind=kind, seed=seed, late=LATE, staleness=STALENESS, groups=groups)
    )


def prepare(
    scenario: Scenario, kind: Kind, seed: int = 0, *, groups: bool = False
) -> Trial:
    """Run a scenario undisturbed, and return the matrix and the ends."""
    make = functools.partial(stage_of, kind, seed, groups=groups)
    return Trial(
        scenario=scenario,
        kind=kind,
        seed=seed,
        groups=groups,
        cells=_cells(scenario, make()),
        allowed=Allowed(
            before=_end(scenario, make(), called=False),
            after=_end(scenario, make(), called=True),
        ),
    )


def _cells(scenario: Scenario, stage: Stage) -> tuple[Cell, ...]:
    recorder = Recorder()
    with stage.sim:
        scenario.prepare(stage)
        _, done = stage.live(CALLER, scenario.call, faults=lambda _: recorder)
    if done is None or done.outcome is not scenario.outcome:
        raise Broken(f"undisturbed it ended {done and done.outcome}")
    return recorder.cells()


def _end(scenario: Scenario, stage: Stage, *, called: bool) -> End:
    prepare = scenario.prepare if called else scenario.origin or scenario.prepare
    with stage.sim:
        prepare(stage)
        if called:
            stage.live(CALLER, scenario.call)
        return _rest(stage)


def _rest(stage: Stage) -> End:
    """Return the end that a world comes to; first its provider does what it will do."""
    if stage.terms.groups:
        stage.sim.wait(_HEALED)
    return come_to_rest(stage)


def _check(done: Deployment | None, took: timedelta) -> Outcome:
    """Check that a call has ended in time, in words, and by nobody else's fault."""
    if done is None:
        raise Broken("it returned nothing")
    if took > PATIENCE:
        raise Broken(f"it took {took}")
    if done.outcome is Outcome.SUPERSEDED or isinstance(done.error, Contention):
        raise Broken(f"{done.outcome}, though it was alone: {done.error}")
    if done.error is None and done.outcome is not Outcome.LIVE:
        raise Broken(f"{done.outcome} without saying why")
    return done.outcome
