"""Let each operation of AWS fail at the wire, in each way, once and again and again."""

import enum
import random
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from emulators.aws.faults import Fault, Proxy, before
from proofs.aws.deployer import Deployers, Order, Said, ready
from proofs.aws.judging import Judge, Try
from proofs.aws.killing import Aims, Tell
from proofs.aws.points import Point
from proofs.aws.stage import SETTINGS, Stage, staged
from proofs.aws.tally import Tally
from proofs.aws.verbs import Verb

_ALWAYS = 25
"""More often than the SDK and the engine together try one call: 4 times 5."""
_SERVICES = {
    "auto-scaling": "autoscaling",
    "cloudwatch-logs": "logs",
    "elastic-load-balancing-v2": "elbv2",
}
_RULES = "elastic-load-balancing-v2.CreateRule"
_THROTTLES = {"ec2": "RequestLimitExceeded", "logs": "ThrottlingException"}


class Kind(enum.StrEnum):
    """What becomes of a call."""

    THROTTLED = "throttled"
    RESET = "reset before its effect"
    CUT = "answer cut after its effect"
    ERROR = "500"
    TAKEN = "priority in use"
    """As if somebody else had made a rule there; for this one operation."""


@attrs.frozen(kw_only=True, order=True)
class Cell:
    """One way in which one operation fails in one call of the library."""

    verb: Verb
    call: str
    kind: Kind
    is_always: bool

    @property
    def way(self) -> tuple[str, Kind, bool]:
        """Return the cell without the verb."""
        return self.call, self.kind, self.is_always

    @property
    def fault(self) -> Fault:
        """Return it as the proxy takes it."""
        hyphened, _, operation = self.call.partition(".")
        service = _SERVICES.get(hyphened, hyphened)
        fault = Fault(
            service=service, operation=operation, times=_ALWAYS if self.is_always else 1
        )
        throttle = _THROTTLES.get(service, "Throttling")
        changes: dict[Kind, Callable[[], Fault]] = {
            Kind.THROTTLED: lambda: attrs.evolve(fault, error=throttle, status=400),
            Kind.RESET: lambda: attrs.evolve(fault, is_reset=True),
            Kind.CUT: lambda: attrs.evolve(fault, is_cut=True),
            Kind.ERROR: lambda: attrs.evolve(
                fault, error="InternalFailure", status=500
            ),
            Kind.TAKEN: lambda: attrs.evolve(fault, error="PriorityInUse", status=400),
        }
        return changes[self.kind]()

    def __str__(self) -> str:
        often = "always" if self.is_always else "once"
        return f"{self.verb}: {self.call} {self.kind}, {often}"


@attrs.define(eq=False, kw_only=True)
class Striking:
    """A run under way."""

    stage: Stage
    proxy: Proxy
    deployers: Deployers
    judge: Judge
    aims: Aims

    def cells(self) -> Iterator[Cell]:
        """Run each verb undisturbed, and yield what can go wrong with each of its calls."""
        for verb in self.aims.verbs:
            tried, said = self._try(str(verb), verb, None)
            if said is None or said.outcome is None:
                raise RuntimeError(f"an undisturbed {verb} ended {said}")
            if tried.verb is Verb.FIRST:
                self.judge.end(tried)
            yield from _cells(verb, said.met)

    def strike(self, cell: Cell) -> None:
        """Let a deployer's calls fail, recover, look, and bring everything in order.

        Where it did not make the call, that is counted as missed.
        """
        tried, said = self._try(str(cell), cell.verb, cell.fault)
        if said is not None:
            ended = said.outcome or f"raised {said.error.partition('(')[0]}"
            self.judge.tally.outcomes[f"call {ended}"] += 1
        if cell.verb.is_fresh:
            self.judge.end(tried)

    def _try(
        self, name: str, verb: Verb, fault: Fault | None
    ) -> tuple[Try, Said | None]:
        site, aim = self.stage.prepare(verb), self.stage.aim(verb)
        new = "" if verb is Verb.DESTROY else aim
        old = self.stage.live(site)
        tried = Try(name=name, verb=verb, site=site, old=old, new=new)
        image = self.stage.images[aim]
        order = Order(
            site=site, verb=verb, image=image, bug=self.aims.bug, is_hurried=True
        )
        with self.judge.watching(tried):
            if fault is not None:
                self.proxy.inject(fault)
            said = self.deployers.run(order)
            if fault is not None:
                self._count(verb)
            self.proxy.clear()
            self.judge.recover(tried)
        return tried, said

    def _count(self, verb: Verb) -> None:
        if self.proxy.fired():
            self.judge.tally.tried[verb] += 1
        else:
            self.judge.tally.missed += 1


def _cells(verb: Verb, met: Iterable[Point]) -> Iterator[Cell]:
    for name in sorted({point.call for point in met}):
        for kind in Kind:
            if kind is Kind.TAKEN and name != _RULES:
                continue
            for is_always in (False, True):
                yield Cell(verb=verb, call=name, kind=kind, is_always=is_always)


def choose(cells: Iterable[Cell], aims: Aims) -> list[Cell]:
    """Return the cells in a random order; first each way of each operation once."""
    found = sorted(cell for cell in cells if aims.only in str(cell))
    random.Random(aims.seed).shuffle(found)
    firsts = {cell.way: cell for cell in reversed(found)}
    found.sort(key=lambda cell: (firsts[cell.way] != cell, cell.is_always))
    return found


def strike(directory: Path, aims: Aims, tell: Tell) -> Tally:
    """Try as many cells as asked."""
    tally, began = Tally(seed=aims.seed), time.monotonic()
    with _running(directory, aims, tally) as running:
        cells = list(running.cells())
        tally.known, told = len(cells), 0
        tell(f"{len(cells)} cells, {len({c.way for c in cells})} ways of operations")
        for cell in choose(cells, aims):
            if tally.total == aims.count or tally.is_over(began + aims.seconds):
                break
            running.strike(cell)
            tell(f"{tally.total}, {time.monotonic() - began:.0f} s; {cell}")
            for problem in tally.problems[told:]:
                tell(f"VIOLATION {problem}")
            told = len(tally.problems)
    tally.took_s = time.monotonic() - began
    return tally


@contextmanager
def _running(directory: Path, aims: Aims, tally: Tally) -> Iterator[Striking]:
    with staged(directory) as stage, before(stage.account.emulator) as proxy:
        endpoint = {"AWS_ENDPOINT_URL": proxy.url}
        with Deployers(ready, SETTINGS | endpoint) as deployers:
            yield Striking(
                stage=stage,
                proxy=proxy,
                deployers=deployers,
                judge=Judge(stage=stage, tally=tally, bug=aims.bug),
                aims=aims,
            )
