"""Who may notice a planted bug: the proofs of this project, in slices."""

from collections.abc import Callable, Iterator
from typing import Protocol

import attrs

from immutable.testing.registers import KINDS, Kind
from immutable.testing.schedules import run_schedule
from proofs.faults import scenarios as struck
from proofs.faults import striking
from proofs.faults.cells import Cell
from proofs.kills import scenarios as killed
from proofs.kills.dooms import parse
from proofs.kills.ending import Allowed
from proofs.kills.exploring import Exploration, Extent, Failure, Tally
from proofs.kills.lives import Case, before, live
from proofs.kills.scenarios import Scenario
from proofs.mutants.scenes import SCENES
from proofs.stateful.runs import explore

_SHOWN = 500


@attrs.frozen(kw_only=True)
class Catch:
    """What was noticed, after how many tries, and how to try it again."""

    by: str
    tries: int
    what: str
    again: tuple[str, ...]


class Catcher(Protocol):
    """One slice of one proof."""

    def hunt(self) -> Catch | int:
        """Try until something is noticed; otherwise return how many tries there were."""
        ...


@attrs.frozen
class Schedules:
    """Drawn schedules, kind by kind in turns."""

    count: int
    kinds: tuple[Kind, ...] = KINDS
    first: int = 1
    groups: bool = False
    """Fleets are native groups."""

    def hunt(self) -> Catch | int:
        """Run them."""
        pairs = (
            (seed, kind)
            for seed in range(self.first, self.first + self.count)
            for kind in self.kinds
        )
        for tries, (seed, kind) in enumerate(pairs, 1):
            again = (self._name, kind, str(seed))
            if what := try_again(again):
                by = f"{self._name}s, {kind}"
                return Catch(by=by, tries=tries, what=what, again=again)
        return self.count * len(self.kinds)

    @property
    def _name(self) -> str:
        return "group schedule" if self.groups else "schedule"


@attrs.frozen
class Kills:
    """A death at every point of a call."""

    scenario: str
    kind: Kind = "compare-and-set"
    extent: Extent = attrs.field(factory=Extent)
    groups: bool = False
    """Fleets are native groups."""

    def hunt(self) -> Catch | int:
        """Let it die everywhere."""
        scenario = _named(killed.SCENARIOS, self.scenario)
        case = Case(scenario=scenario, kind=self.kind, groups=self.groups)
        tally = Tally(scenario=self.scenario, kind=self.kind)
        exploration = Exploration(
            case, self.extent, tally, lambda: bool(tally.failures)
        )
        if calm := exploration.calm():
            exploration.every_death(calm)
        tries = 1 + tally.kills + tally.pairs + tally.landings
        return self._catch(tally.failures[0], tries) if tally.failures else tries

    def _catch(self, failure: Failure, tries: int) -> Catch:
        path = ",".join(map(str, failure.path))
        return Catch(
            by=f"kills: {self.scenario}, {self.kind}",
            tries=tries,
            what=failure.message[:_SHOWN],
            again=(
                "group kill" if self.groups else "kill",
                self.kind,
                self.scenario,
                path,
            ),
        )


@attrs.frozen
class Faults:
    """Everything that can go wrong with every call."""

    scenario: str
    kind: Kind = "compare-and-set"
    chosen: Callable[[Cell], bool] = lambda _: True

    def hunt(self) -> Catch | int:
        """Strike them all."""
        by, again = f"faults: {self.scenario}, {self.kind}", ("fault", self.kind)
        scenario = _named(struck.SCENARIOS, self.scenario)
        tries = 0
        for cell, trial in _trials(scenario, self.kind):
            if cell is None or self.chosen(cell):
                tries += 1
                if what := _noticed(trial):
                    key = (*again, self.scenario, str(cell or ""))
                    return Catch(by=by, tries=tries, what=what, again=key)
        return tries


@attrs.frozen
class Stateful:
    """The public calls against the model."""

    examples: int
    steps: int = 30

    def hunt(self) -> Catch | int:
        """Run them."""
        tally = explore(self.examples, self.steps, 1, shrinking=False)
        if not tally.violations:
            return tally.ran["examples"]
        return Catch(
            by="stateful",
            tries=tally.ran["examples"],
            what=tally.violations[0][:_SHOWN],
            again=("stateful", str(self.examples), str(self.steps)),
        )


@attrs.frozen
class Scene:
    """A little story of its own."""

    name: str

    def hunt(self) -> Catch | int:
        """Play it."""
        what, again = _noticed(SCENES[self.name]), ("scene", self.name)
        if not what:
            return 1
        return Catch(by=f"scene: {self.name}", tries=1, what=what, again=again)


def try_again(again: tuple[str, ...]) -> str:
    """Try once more what noticed something; return what it notices, nothing if nothing."""
    match again:
        case ("schedule", kind, seed):
            return _noticed(lambda: run_schedule(int(seed), _kind(kind)))
        case ("group schedule", kind, seed):
            return _noticed(lambda: run_schedule(int(seed), _kind(kind), groups=True))
        case ("kill" | "group kill" as how, kind, name, path):
            case = Case(
                scenario=_named(killed.SCENARIOS, name),
                kind=_kind(kind),
                groups=how == "group kill",
            )
            return _noticed(lambda: _kill_again(case, path))
        case ("fault", kind, name, cell):
            trials = dict(_trials(_named(struck.SCENARIOS, name), _kind(kind)))
            wanted = next((c for c in trials if c and str(c) == cell), None)
            return _noticed(trials[wanted])
        case ("stateful", examples, steps):
            found = Stateful(int(examples), int(steps)).hunt()
            return found.what if isinstance(found, Catch) else ""
        case ("scene", name):
            return _noticed(SCENES[name])
    raise AssertionError(f"nobody tries {again}")


def _trials(
    scenario: Scenario, kind: Kind
) -> Iterator[tuple[Cell | None, Callable[[], object]]]:
    """Yield the undisturbed run, and after it every cell with its strike."""
    yield None, lambda: striking.prepare(scenario, kind)
    trial = striking.prepare(scenario, kind)
    for cell in trial.cells:
        yield cell, lambda c=cell: trial.strike(c)  # type: ignore[misc]  # a default binds


def _kill_again(case: Case, path: str) -> None:
    calm = live(case, ())
    live(case, parse(path), Allowed(before=before(case), after=calm.end))


def _noticed(trial: Callable[[], object]) -> str:
    try:
        trial()
    # whatever a broken engine raises, somebody has noticed
    except Exception as exc:  # noqa: BLE001 - see above
        return f"{type(exc).__name__}: {exc}"[:_SHOWN]
    return ""


def _named(scenarios: tuple[Scenario, ...], name: str) -> Scenario:
    return next(scenario for scenario in scenarios if scenario.name == name)


def _kind(name: str) -> Kind:
    return next(kind for kind in KINDS if kind == name)
