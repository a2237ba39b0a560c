"""Every death of a case, one by one: found by counting, and none left out."""

import time
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise

import attrs

from proofs.kills.dooms import FLIGHTS, Death, Doom, distinct, dooms_of
from proofs.kills.ending import Allowed
from proofs.kills.lives import Case, Flight, Life, before, live


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
    landings_asked: int = 0
    """Instants in the recoveries at which a dead caller's last call can land."""
    landings: int = 0
    """Of them, those that were tried."""
    is_cut: bool = False
    """Time was over before everything was tried."""
    failures: list[Failure] = attrs.field(factory=list)
    seconds: float = 0.0
    lives: list[Life] = attrs.field(factory=list)
    """The undisturbed one, then one for each death of the caller that others know of."""

    @property
    def is_complete(self) -> bool:
        """Return whether nothing was left out."""
        tried = (self.killed, self.kills, self.pairs, self.landings)
        asked = (self.points, self.asked, self.pairs_asked, self.landings_asked)
        return bool(self.points) and tried == asked and not self.is_cut


def never() -> bool:
    """Return False: there is time enough."""
    return False


@attrs.frozen(kw_only=True)
class Extent:
    """How far to go beyond one death at every crash point."""

    pairs: bool = False
    """Kill the recovery, too, at every crash point of its own."""
    only_distinct: bool = False
    """Of pairs whose first or second death leaves the same world, try two."""
    landings: bool = False
    """Let what is in flight land between any two steps of the recovery."""


def explore(
    case: Case, extent: Extent, *, is_over: Callable[[], bool] = never
) -> Tally:
    """Try every death of a case.

    Args:
        case: what is done, where.
        extent: how far to go.
        is_over: whether time is over; what is left then counts as not tried.
    """
    began = time.perf_counter()
    tally = Tally(scenario=case.scenario.name, kind=case.kind)
    exploration = Exploration(case, extent, tally, is_over)
    if calm := exploration.calm():
        exploration.every_death(calm)
    tally.seconds = time.perf_counter() - began
    return tally


class Exploration:
    """Goes through the deaths of one case."""

    def __init__(
        self, case: Case, extent: Extent, tally: Tally, is_over: Callable[[], bool]
    ) -> None:
        self._case = case
        self._extent = extent
        self._tally = tally
        self._is_over = is_over
        self._allowed: Allowed | None = None

    def calm(self) -> Life | None:
        """Return the life that nobody disturbs, and know the two ends."""
        life = self._try(())
        if life is not None:
            self._tally.points = len(life.points)
            self._tally.lives.append(life)
            self._allowed = Allowed(before=before(self._case), after=life.end)
        return life

    def every_death(self, calm: Life) -> None:
        """Let the caller die in every way."""
        late = {death: self._points(late) for death, late in FLIGHTS.items()}
        self._kill(calm.points, dooms_of(calm.points, (Death.KNOWN, Death.SILENT)))
        for death in (Death.SOON, Death.LATE):
            # what may land late is waited for, so that the points are others
            self._kill(late[death], dooms_of(late[death], (death,)))
        if self._extent.pairs:
            self._every_second_in_flight(late[Death.SOON])

    def _points(self, late: timedelta) -> tuple[str, ...]:
        life = self._try((), late=late)
        return life.points if life else ()

    def _kill(self, points: tuple[str, ...], dooms: tuple[Doom, ...]) -> None:
        self._tally.asked += len(dooms)
        for doom in dooms:
            if self._is_cut():
                return
            life = self._try((doom,), points)
            self._tally.kills += 1
            self._tally.killed += doom.death is Death.KNOWN
            if life is not None:
                self._go_on(life, doom, points)

    def _go_on(self, life: Life, doom: Doom, points: tuple[str, ...]) -> None:
        if doom.death is Death.KNOWN:
            self._tally.lives.append(life)
        if self._extent.landings and doom.death is Death.LATE:
            self._every_landing(life, doom)
        if not self._extent.pairs or doom.at not in self._chosen(points):
            return
        if doom.death is Death.KNOWN:
            self._every_second(life, (Death.KNOWN,))
        elif doom.death is Death.SOON:
            self._every_second(life, (Death.KNOWN, Death.SOON))

    def _every_second_in_flight(self, points: tuple[str, ...]) -> None:
        """Let a recovery die with a call in flight after a death that left none."""
        for doom in dooms_of(points, (Death.KNOWN,), self._chosen(points)):
            if self._is_cut():
                return
            life = self._try((doom,), points, late=FLIGHTS[Death.SOON])
            if life is not None:
                self._every_second(life, (Death.SOON,))

    def _every_second(self, first: Life, deaths: tuple[Death, ...]) -> None:
        dooms = dooms_of(first.points, deaths, self._chosen(first.points))
        self._tally.pairs_asked += len(dooms)
        for doom in dooms:
            if self._is_cut():
                return
            self._try((*first.path, doom), first.points)
            self._tally.pairs += 1

    def _chosen(self, points: tuple[str, ...]) -> frozenset[int]:
        """Return the numbers of the points at which pairs begin and end."""
        if self._extent.only_distinct:
            return distinct(points)
        return frozenset(range(1, len(points) + 1))

    def _every_landing(self, life: Life, doom: Doom) -> None:
        if life.flight is None:
            raise AssertionError("nothing was in flight")
        dooms = [Doom(doom.at, Death.TIMED, us) for us in landings(life.flight, doom)]
        self._tally.landings_asked += len(dooms)
        for timed in dooms:
            if self._is_cut():
                return
            self._try((timed,))
            self._tally.landings += 1

    def _is_cut(self) -> bool:
        self._tally.is_cut = self._tally.is_cut or self._is_over()
        return self._tally.is_cut

    def _try(
        self,
        path: tuple[Doom, ...],
        points: tuple[str, ...] = (),
        late: timedelta = timedelta(),
    ) -> Life | None:
        case = attrs.evolve(self._case, late=late)
        try:
            return live(case, path, self._allowed)
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


def landings(flight: Flight, doom: Doom) -> tuple[int, ...]:
    """Return what to draw from so that a call lands between any two steps of a recovery.

    Twice between two answers: before the call in between takes effect, and after it.
    The seed draws the same part of whatever may be drawn from.
    """
    part = flight.landed_us / doom.late_us
    wanted = [
        earlier + (later - earlier) * quarter // 4
        for earlier, later in pairwise((0, *flight.instants_us))
        for quarter in (1, 3)
    ]
    latest = (round(us / part) for us in wanted if us)
    return tuple(us for us in latest if 0 < us <= doom.late_us)
