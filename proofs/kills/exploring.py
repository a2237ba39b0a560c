"""Every death of a case, one by one: found by counting, and none left out."""

import time
from collections.abc import Callable, Iterable

import attrs

from proofs.kills.ending import Allowed, End, come_to_rest
from proofs.kills.lives import Case, Death, Doom, Life, live
from proofs.kills.stage import EFFECTS

FIRST = (Death.KNOWN, Death.SILENT, Death.SOON, Death.LATE)
"""How the caller may die."""
SECOND = (Death.KNOWN, Death.SOON)
"""How a caller and whoever clears up after it may die, both."""
_AFTER = {f"after:{call}" for call in EFFECTS}
_IN_FLIGHT = frozenset({Death.SOON, Death.LATE})


@attrs.frozen(kw_only=True)
class Failure:
    """What broke, and how to see it again."""

    scenario: str
    kind: str
    seed: int
    path: tuple[Doom, ...]
    points: tuple[str, ...]
    """The crash points of the path, as far as they are known."""
    message: str


@attrs.define(kw_only=True)
class Tally:
    """How much of one case was tried, beside how much there is to try."""

    scenario: str
    kind: str
    points: int = 0
    """Crash points of the call."""
    killed: int = 0
    """Of them, those at which the caller died."""
    asked: int = 0
    """Deaths of the caller that there are to try."""
    kills: int = 0
    """Of them, those that were tried."""
    pairs_asked: int = 0
    """Deaths in the recoveries that there are to try."""
    pairs: int = 0
    """Of them, those that were tried."""
    failures: list[Failure] = attrs.field(factory=list)
    seconds: float = 0.0
    lives: list[Life] = attrs.field(factory=list)
    """The undisturbed one, then one for each death of the caller that others know of."""

    @property
    def is_complete(self) -> bool:
        """Return whether nothing was left out."""
        tried = (self.killed, self.kills, self.pairs)
        return bool(self.points) and tried == (
            self.points,
            self.asked,
            self.pairs_asked,
        )


def never() -> bool:
    """Return False: there is time enough."""
    return False


def explore(case: Case, *, depth: int, is_over: Callable[[], bool] = never) -> Tally:
    """Try every death of a case, and with depth 2 every death of every recovery.

    Args:
        case: what is done, where.
        depth: how many processes die one after the other, 1 or 2.
        is_over: whether time is over; what is left then counts as not tried.
    """
    began = time.perf_counter()
    tally = Tally(scenario=case.scenario.name, kind=case.kind)
    exploration = Exploration(case, tally, is_over)
    if calm := exploration.calm():
        exploration.every_death(calm, depth)
    tally.seconds = time.perf_counter() - began
    return tally


class Exploration:
    """Goes through the deaths of one case."""

    def __init__(self, case: Case, tally: Tally, is_over: Callable[[], bool]) -> None:
        self._case = case
        self._tally = tally
        self._is_over = is_over
        self._allowed: Allowed | None = None

    def calm(self) -> Life | None:
        """Return the life that nobody disturbs, and know the two ends."""
        life = self._try(())
        if life is not None:
            self._tally.points = len(life.points)
            self._tally.lives.append(life)
            self._allowed = Allowed(before=self._before(), after=life.end)
        return life

    def every_death(self, calm: Life, depth: int) -> None:
        """Let the caller die in every way."""
        dooms = dooms_of(calm.points, FIRST)
        self._tally.asked = len(dooms)
        for doom in dooms:
            if self._is_over():
                return
            life = self._try((doom,), calm.points)
            self._tally.kills += 1
            self._tally.killed += doom.death is Death.KNOWN
            if life is not None and doom.death is Death.KNOWN:
                self._tally.lives.append(life)
            if life is not None and depth > 1 and doom.death in SECOND:
                self._every_second(life)

    def _every_second(self, first: Life) -> None:
        dooms = dooms_of(first.points, SECOND)
        self._tally.pairs_asked += len(dooms)
        for doom in dooms:
            if self._is_over():
                return
            self._try((*first.path, doom), first.points)
            self._tally.pairs += 1

    def _try(self, path: tuple[Doom, ...], points: tuple[str, ...] = ()) -> Life | None:
        try:
            return live(self._case, path, self._allowed)
        # a violation, a broken promise, or whatever the code under test may raise
        except Exception as exc:  # noqa: BLE001 - each is a finding, and the rest goes on
            self._tally.failures.append(self._failure(path, points, exc))
            return None

    def _failure(
        self, path: tuple[Doom, ...], points: tuple[str, ...], error: Exception
    ) -> Failure:
        return Failure(
            scenario=self._case.scenario.name,
            kind=self._case.kind,
            seed=self._case.seed,
            path=path,
            points=tuple(points[doom.at - 1] for doom in path[-1:] if points),
            message=f"{type(error).__name__}: {error}",
        )

    def _before(self) -> End:
        stage = self._case.stage(())
        with stage.sim:
            self._case.scenario.prepare(stage)
            return come_to_rest(stage)


def dooms_of(points: tuple[str, ...], deaths: Iterable[Death]) -> tuple[Doom, ...]:
    """Return every death that a process with these crash points can die."""
    return tuple(
        Doom(at, death)
        for at, point in enumerate(points, 1)
        for death in deaths
        if death not in _IN_FLIGHT or point in _AFTER
    )
