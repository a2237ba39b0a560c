"""Kill a deployer at every call to AWS, before it is sent and after it had its effect."""

import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import attrs

from proofs.aws.deployer import Deployers, Order, Said, ready
from proofs.aws.judging import Judge, Try
from proofs.aws.planted import Bug
from proofs.aws.points import Point
from proofs.aws.stage import SETTINGS, Stage, staged
from proofs.aws.tally import Tally
from proofs.aws.verbs import Verb

Tell = Callable[[str], None]
_T = TypeVar("_T")


@attrs.frozen(kw_only=True)
class Aims:
    """What a run is to do.

    Args:
        count: so many deployers are killed, or so many cells tried; None: all.
        seed: chooses and orders them.
        seconds: after so long no other is begun, but one is tried in any case.
        verbs: at which calls of the library.
        only: points and cells whose name contains this.
        bug: planted into every deployer.
    """

    count: int | None = None
    seed: int = 1
    seconds: float = float("inf")
    verbs: tuple[Verb, ...] = tuple(Verb)
    only: str = ""
    bug: Bug | None = None


@attrs.define(eq=False, kw_only=True)
class Killing:
    """A run under way."""

    stage: Stage
    deployers: Deployers
    judge: Judge
    aims: Aims

    def points(self) -> frozenset[Point]:
        """Run each verb undisturbed, and return the points that it meets.

        How often it looks until something is so differs from run to run, and what it reads
        in vain it may write: some points will not be met again.
        """
        met = (self._undisturbed(verb).met for verb in self.aims.verbs)
        return frozenset(point for points in met for point in points)

    def kill(self, point: Point) -> bool:
        """Kill a deployer there, recover, look, and bring everything in order.

        Returns:
            Whether the deployer came there.
        """
        tried, said = self._try(Verb(point.verb), point)
        if is_met := said is None:
            self.judge.tally.tried[point.verb] += 1
        if tried.verb.is_fresh:
            self.judge.end(tried)
        return is_met

    def _undisturbed(self, verb: Verb) -> Said:
        tried, said = self._try(verb, None)
        if said is None or said.outcome is None:
            raise RuntimeError(f"an undisturbed {verb} ended {said}")
        if verb is Verb.FIRST:
            self.judge.end(tried)
        return said

    def _try(self, verb: Verb, point: Point | None) -> tuple[Try, Said | None]:
        site = self.stage.prepare(verb)
        aim = self.stage.aim(verb)
        tried = Try(
            name=str(point or verb),
            verb=verb,
            site=site,
            old=self.stage.live(site),
            new="" if verb is Verb.DESTROY else aim,
        )
        order = Order(
            site=site,
            verb=verb,
            image=self.stage.images[aim],
            point=point,
            bug=self.aims.bug,
        )
        with self.judge.watching(tried):
            said = self.deployers.run(order)
            if point is None:
                self.judge.look(tried)
            else:
                self.judge.recover(tried)
        return tried, said


def kill(directory: Path, aims: Aims, tell: Tell) -> Tally:
    """Kill as many deployers as asked; those at calls that change something first."""
    tally, began = Tally(seed=aims.seed), time.monotonic()
    with _running(directory, aims, tally) as running:
        points = running.points()
        tally.known = len(points)
        changes = sum(point.is_change for point in points)
        tell(f"{len(points)} points, {changes} of them at changes")
        missed, told = list[Point](), 0
        for point in twice(choose(points, aims), missed):
            if tally.total == aims.count or tally.is_over(began + aims.seconds):
                break
            if not running.kill(point):
                missed.append(point)
            tell(f"{tally.total}, {time.monotonic() - began:.0f} s; {point}")
            for problem in tally.problems[told:]:
                tell(f"VIOLATION {problem}")
            told = len(tally.problems)
    tally.missed = len(missed)
    tally.took_s = time.monotonic() - began
    return tally


def choose(points: Iterable[Point], aims: Aims) -> list[Point]:
    """Return the points in a random order: changes before readings."""
    found = sorted(point for point in points if aims.only in str(point))
    random.Random(aims.seed).shuffle(found)
    found.sort(key=lambda point: not point.is_change)
    return found


def twice(points: Iterable[_T], missed: list[_T]) -> Iterator[_T]:
    """Yield the points, then once more those that were missed by then."""
    yield from points
    again, missed[:] = tuple(missed), ()
    yield from again


@contextmanager
def _running(directory: Path, aims: Aims, tally: Tally) -> Iterator[Killing]:
    with staged(directory) as stage:
        endpoint = {"AWS_ENDPOINT_URL": stage.account.emulator.url}
        with Deployers(ready, SETTINGS | endpoint) as deployers:
            yield Killing(
                stage=stage,
                deployers=deployers,
                judge=Judge(stage=stage, tally=tally, bug=aims.bug),
                aims=aims,
            )
