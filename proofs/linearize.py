"""Let clients race for a switch, and look for one order that explains all they were told.

    python -m proofs.linearize --count 20000 --seed 1 --processes 2
    python -m proofs.linearize --switch slot --count 1 --seed 17 --haproxy 0

Each history is about 40 operations of 2 to 5 clients, recorded and then judged by
`immutable.testing.linearizability`.

The simulated switches lose answers, deliver effects late or twice, show old readings,
and their clients are killed and paused. What the capabilities allow is allowed here:

- A reading may be as old as ``staleness``. It is checked as one made by so much earlier,
  which is just what that promise means; nothing else about it is given up. Writes stay
  under the strict rule, for a write that expects an old version must be refused.
- A write that nobody was told of may land up to ``late`` after it was sent, or never.
  That end is checked in histories whose clients are not paused: a paused client sends
  later than it seems to.

A ``blind`` switch compares before it sends and is documented not to be linearizable. It
is here to test the judge, which must find that out.

The real HAProxy is raced by threads and by processes, and in some histories it is
killed meanwhile. Its versions move more often than its routing, and the register that
it is held against says so (see `haproxy_map`): while a write is under way, readings show
the old routing at a version that is refused once the write is done; a write that fails
half-way, with no effect, leaves that version behind; and a restart makes a new one. A
seed decides what its clients do, not how they race: the same seed may go another way.

The exit status is 1 after a violation, or when less was run than was asked for.
"""

import argparse
import itertools
import math
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Protocol, TypeAlias

import attrs

from immutable.errors import Ambiguous, Conflict, ImmutableError
from immutable.model import (
    FleetName,
    HealthCheck,
    LedgerId,
    Routing,
    ServiceName,
    SwitchView,
    Version,
)
from immutable.protocols import Switch
from immutable.testing.chances import seeded
from immutable.testing.faults import Fault, Faults, Hazards, draw_mix
from immutable.testing.linearizability import (
    Answer,
    Call,
    Conflicted,
    Explained,
    History,
    Operation,
    Read,
    Register,
    Slots,
    Touch,
    Unexplained,
    Unseen,
    Write,
    check,
    compare_and_set,
    slots,
    with_late_effects,
    with_stale_reads,
)
from immutable.testing.provider import Provider
from immutable.testing.registers import KINDS, Kind
from immutable.testing.simulation import Simulation
from immutable.testing.switches import SimulatedSwitch
from immutable.testing.watching import Unwatched
from immutable.urls import Url
from proofs.sigkill.ports import free_port

if TYPE_CHECKING:
    from immutable_haproxy import HAProxySwitch

OPERATIONS = 40
SHARES = {
    "compare-and-set": (30, 60, 5, 5),
    "slot": (30, 70, 0, 0),
    "blind": (30, 70, 0, 0),
}
"""How often clients read, write, attach and detach: the last two where versions move."""
BLIND_SHARE = 20
"""One blind history for so many of the others."""
FEWEST_BLIND = 20
"""Of so few, some are sure to show that a blind switch is not linearizable."""
HAPROXY = "haproxy"
OWNER = LedgerId("linearize")
BLUE, GREEN, SPARE = FleetName("blue"), FleetName("green"), FleetName("spare")
HEALTH = HealthCheck(port=8080)
CALLS = ("switch.read", "switch.write", "switch.attach", "switch.detach")
NONE, SECOND = timedelta(), timedelta(seconds=1)
ROUGH = {
    Fault.LATE: 0.08,
    Fault.ERROR_BEFORE: 0.03,
    Fault.ERROR_AFTER: 0.05,
    Fault.TIMEOUT_AFTER: 0.03,
    Fault.DUPLICATED: 0.05,
    Fault.STALE: 0.2,
    Fault.SLOW: 0.03,
}
UNDER_WAY = 90 * SECOND
"""So long a simulated call may take; it goes on when its caller has died."""
PATIENCE_S = 120.0
CHUNK = 50
"""So many histories are run between two looks at the clock."""
SHOWN = 3
"""So many violations of each kind are printed."""


# --- what clients do -----------------------------------------------------------------


def routing(number: int) -> Routing:
    """Return a routing that no other number below 297 stands for."""
    weight = 1 + number % 99
    preview = (None, BLUE, GREEN)[number // 99 % 3]
    return Routing(weights={BLUE: weight, GREEN: 100 - weight}, preview=preview)


@attrs.define
class Client:
    """One that reads and writes a switch, and believes what it is told."""

    switch: Switch
    chance: Random
    known: Version
    numbers: Iterator[int]
    rest: Callable[[], None]
    in_doubt: bool = False

    def live(self, operations: int) -> None:
        """Make so many calls; whatever they end with, go on."""
        for _ in range(operations):
            self.rest()
            try:
                self.known = self._act()
                self.in_doubt = False
            except (Conflict, Ambiguous):
                self.in_doubt = self.chance.choice((True, True, True, False))
            except ImmutableError:
                continue

    def _act(self) -> Version:
        switch, known = self.switch, self.known
        acts: tuple[Callable[[], Version], ...] = (
            lambda: switch.read().version,
            lambda: switch.write(
                routing(next(self.numbers)), owner=OWNER, expected=known
            ),
            lambda: switch.attach(SPARE, health=HEALTH, owner=OWNER, expected=known),
            lambda: switch.detach(SPARE, owner=OWNER, expected=known),
        )
        if self.in_doubt:
            return acts[0]()
        (act,) = self.chance.choices(acts, SHARES[switch.capabilities.fencing])
        return act()


@attrs.frozen(kw_only=True)
class Restart:
    """HAProxy was killed, and serves the same routing at a version of its own."""

    def __str__(self) -> str:
        return "restart"


@attrs.frozen(kw_only=True)
class Prepare:
    """A writer was handed the next number of the map, and readers can see that."""

    write: Write | Touch

    def __str__(self) -> str:
        return f"prepare to {self.write}"


@attrs.frozen(kw_only=True)
class Map:
    """HAProxy's register, and the change that was prepared from what it was before."""

    register: Register
    prepared: Write | Touch | None = None

    def __str__(self) -> str:
        return str(self.register)


Step: TypeAlias = Call | Restart | Prepare
Calls: TypeAlias = tuple[Operation[Call, Answer], ...]
Recorded: TypeAlias = tuple[Operation[Step, Answer], ...]
Verdict: TypeAlias = (
    Explained[Step, Answer]
    | Unexplained[Step, Answer, Register]
    | Unexplained[Step, Answer, Slots]
    | Unexplained[Step, Answer, Map]
)
Work: TypeAlias = Callable[[], Recorded]


@attrs.frozen(kw_only=True)
class Run:
    """One history, how it is judged, and what was killed while it was made."""

    recorded: Recorded
    judge: Callable[[], Verdict]
    kills: int


# --- what became of it ---------------------------------------------------------------


@attrs.define
class Tally:
    """What one kind of switch was asked for and what came of it."""

    kind: str
    asked: int = 0
    ran: int = 0
    operations: int = 0
    unknown: int = 0
    conflicts: int = 0
    kills: int = 0
    violations: list[str] = attrs.field(factory=list)
    seconds: float = 0.0
    judging_s: float = 0.0

    def add(self, other: "Tally") -> None:
        """Count what another one counted."""
        self.ran += other.ran
        self.operations += other.operations
        self.unknown += other.unknown
        self.conflicts += other.conflicts
        self.kills += other.kills
        self.violations += other.violations
        self.judging_s += other.judging_s

    def count(self, seed: int, run: Run) -> None:
        """Judge one history and count it."""
        began = time.process_time()
        verdict = run.judge()
        self.judging_s += time.process_time() - began
        calls = [one for one in run.recorded if isinstance(one.call, Call)]
        self.ran += 1
        self.operations += len(calls)
        self.unknown += sum(one.answer is None for one in calls)
        self.conflicts += sum(one.answer == Conflicted() for one in calls)
        self.kills += run.kills
        if isinstance(verdict, Unexplained):
            again = f"--count 1 --seed {seed} --switch {self.kind} --haproxy 0"
            if self.kind == HAPROXY:
                again = f"--count 0 --seed {seed} --haproxy 1"
            self.violations.append(
                f"{self.kind}, seed {seed}: {verdict}\n"
                f"again: python -m proofs.linearize {again}"
            )

    @property
    def is_good(self) -> bool:
        """Return whether all ran, and went as this kind of switch promises."""
        if self.kind == "blind":
            return self.ran == self.asked and bool(self.violations or not self.asked)
        return self.ran == self.asked and not self.violations

    def row(self) -> str:
        """Return it as a line of the table."""
        rate = self.ran / self.seconds if self.seconds else 0.0
        each_ms = 1000 * self.judging_s / self.ran if self.ran else 0.0
        return (
            f"{self.kind:15} {self.asked:7} {self.ran:7} {self.operations:10} "
            f"{self.unknown:8} {self.conflicts:9} {self.kills:6} {len(self.violations):10} "
            f"{rate:11.1f} {each_ms:10.2f}"
        )


HEAD = (
    f"{'switch':15} {'asked':>7} {'ran':>7} {'operations':>10} {'unknown':>8} "
    f"{'conflicts':>9} {'kills':>6} {'violations':>10} {'histories/s':>11} {'judging ms':>10}"
)


# --- the real HAProxy ----------------------------------------------------------------


def haproxy_map(state: Map, call: Step, answer: Answer | None) -> Map | None:
    """Say what HAProxy's map is after a step of a history.

    A write has two steps. The first hands out a number, which gives the old routing
    another version; the second changes the routing, if nothing came between. A writer
    that dies in the middle leaves it at that. Whose preparation it is shows by the value
    that is to be written; two equal touches are not told apart.
    """
    register = state.register
    if isinstance(call, Restart):
        return Map(register=attrs.evolve(register, version=Unseen()))
    if isinstance(call, Prepare):
        touch = Touch(expected=call.write.expected)
        return _after(compare_and_set(register, touch, None), call.write)
    if isinstance(call, Read) or isinstance(answer, Conflicted):
        return _after(compare_and_set(register, call, answer), state.prepared)
    if state.prepared == call:
        register = attrs.evolve(register, version=call.expected)
    return _after(compare_and_set(register, call, answer), None)


def _after(register: Register | None, prepared: Write | Touch | None) -> Map | None:
    if register is None:
        return None
    return Map(register=register, prepared=prepared)


def with_preparations(recorded: Calls) -> Recorded:
    """Return the history with the first step of each write beside the write."""
    done = tuple(one for one in recorded if one.answer != Conflicted())
    return (*recorded, *prepared(done))


def prepared(writes: Calls) -> Recorded:
    """Return the first steps of writes: of refused ones they may be all there was."""
    return tuple(
        Operation(
            process=one.process,
            call=Prepare(write=one.call),
            called=one.called,
            returned=one.returned,
        )
        for one in writes
        if isinstance(one.call, Write | Touch)
    )


@attrs.frozen(kw_only=True)
class Site:
    """One HAProxy that all histories share, each beginning where the last one ended."""

    directory: Path
    listen: str

    def switch(self) -> "HAProxySwitch":
        """Return the switch, for one client."""
        from immutable_haproxy import open_switch

        options = {"directory": str(self.directory), "listen": self.listen}
        url = Url(scheme="haproxy", options=options)
        return open_switch(url, service=ServiceName("linearize"), port=HEALTH.port)

    def process(self) -> int:
        """Return HAProxy's process, or 0."""
        from immutable_haproxy.supervisor import holder_of

        return holder_of(str(self.directory / "haproxy.lock"))


@contextmanager
def site() -> Iterator[Site]:
    """Set HAProxy up, and take it away again."""
    with tempfile.TemporaryDirectory(prefix="immutable-linearize-") as name:
        made = Site(directory=Path(name) / "s", listen=f"127.0.0.1:{free_port()}")
        try:
            set_up(made.switch())
            yield made
        finally:
            made.switch().shut_down()


def raced(place: Site, seed: int) -> Run:
    """Return one history of HAProxy."""
    chance = seeded(seed, HAPROXY)
    start, clients = place.switch().read(), chance.randint(2, 5)
    known = start.version
    works = [_work(place, seed, n, clients, known) for n in range(clients)]
    start_all = chance.choice((in_processes, in_threads))
    waiting = start_all(works)
    kills = range(chance.choice((0, 0, 0, 1)))
    killed = tuple(kill(place, chance.random() * 0.3) for _ in kills)
    recorded = (*(one for wait in waiting for one in wait()), *killed)
    start_map = Map(register=Register.holding(start.routing, version=known))
    return Run(
        recorded=recorded,
        judge=lambda: check(recorded, start=start_map, step=haproxy_map),
        kills=len(killed),
    )


def kill(place: Site, after_s: float) -> Operation[Restart, Answer]:
    """Kill HAProxy after a moment, and return what that is to the register."""
    time.sleep(after_s)
    called = time.monotonic()
    with suppress(ProcessLookupError):
        if number := place.process():
            os.kill(number, signal.SIGKILL)
    return Operation(process="killer", call=Restart(), called=called)


def _work(place: Site, seed: int, number: int, clients: int, known: Version) -> Work:
    """Return the whole life of one client, which ends in what it recorded."""
    chance = seeded(seed, f"client-{number}")

    def work() -> Recorded:
        # this clock is one for all processes of a machine
        history = History(clock=time.monotonic)
        client = Client(
            switch=history.recording(place.switch(), process=f"client-{number}"),
            chance=chance,
            known=known,
            numbers=itertools.count(number, clients),
            rest=lambda: time.sleep(chance.random() * 0.002),
        )
        client.live(math.ceil(OPERATIONS / clients))
        return (*with_preparations(history.operations()), *prepared(history.refused()))

    return work


def in_threads(works: Sequence[Work]) -> Sequence[Work]:
    """Begin all works, each in a thread, and return what waits for their results."""
    pool = ThreadPoolExecutor(len(works))
    futures = [pool.submit(work) for work in works]
    pool.shutdown(wait=False)
    return [partial(future.result, PATIENCE_S) for future in futures]


def in_processes(works: Sequence[Work]) -> Sequence[Work]:
    """Begin all works, each in a process, and return what waits for their results."""
    context = multiprocessing.get_context("fork")
    waiting: list[Work] = []
    for work in works:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_send, args=(theirs, work))
        process.start()
        theirs.close()
        waiting.append(partial(_receive, ours, process))
    return waiting


def _send(pipe: Connection, work: Work) -> None:
    pipe.send(work())


def _receive(pipe: Connection, process: BaseProcess) -> Recorded:
    with pipe:
        if not pipe.poll(PATIENCE_S):
            raise TimeoutError(f"{process.name} did not end within {PATIENCE_S} s")
        result: Recorded = pipe.recv()
    process.join()
    return result


def run_haproxy(seeds: range, deadline: float) -> Tally:
    """Race for one HAProxy, history after history, until all are run or time is up."""
    tally = Tally(kind=HAPROXY, asked=len(seeds))
    if not seeds:
        return tally
    began = time.monotonic()
    with site() as place:
        for seed in seeds:
            if time.monotonic() > deadline:
                break
            tally.count(seed, raced(place, seed))
    tally.seconds = time.monotonic() - began
    return tally


# --- simulated switches --------------------------------------------------------------


@attrs.frozen
class Rough:
    """So many faults that a tenth of the writes is left without an answer."""

    chance: Random

    def choose(
        self,
        call: str,  # noqa: ARG002 - all calls fare alike
        *,
        process: str,  # noqa: ARG002 - and all processes
        possible: tuple[Fault, ...],
    ) -> Fault | None:
        """Draw what goes wrong with a call, if anything."""
        drawn = self.chance.random()
        for fault in possible:
            drawn -= ROUGH.get(fault, 0.0)
            if drawn < 0:
                return fault
        return None


@attrs.frozen(kw_only=True)
class Terms:
    """How one simulated history goes, drawn from its seed."""

    kind: Kind
    clients: int
    staleness: timedelta
    late: timedelta
    pace_s: float
    """How long clients rest between calls, at most."""
    hazards: Hazards
    faults: Faults

    @classmethod
    def drawn(cls, kind: Kind, seed: int) -> "Terms":
        """Draw them: the swarm is over these, and over the faults."""
        chance = seeded(seed, "terms")
        return cls(
            kind=kind,
            clients=chance.randint(2, 5),
            staleness=chance.choice((NONE, NONE, 2 * SECOND, 20 * SECOND)),
            late=chance.choice((NONE, 5 * SECOND, 60 * SECOND, 300 * SECOND)),
            pace_s=chance.choice((0.0, 0.05, 2.0, 30.0)),
            hazards=Hazards(
                chance=seeded(seed, "hazards"),
                death=chance.choice((0.0, 0.0, 0.01)),
                pause=chance.choice((0.0, 0.0, 0.02)),
            ),
            faults=chance.choice(
                (Rough(seeded(seed, "mix")), draw_mix(seeded(seed, "mix"), CALLS))
            ),
        )


def simulated(kind: Kind, seed: int) -> Run:
    """Return one history of a simulated switch."""
    terms = Terms.drawn(kind, seed)
    provider = Provider(switch=kind, staleness=terms.staleness, late=terms.late)
    simulation = Simulation(seed, provider=provider)
    # the rules for deployments are not for clients that send traffic nowhere
    simulation.cloud.watch, simulation.gate.sent = Unwatched(), lambda _: None
    switch = SimulatedSwitch(simulation.cloud, simulation.gate, ServiceName("shop"))
    history = History(clock=lambda: simulation.scheduler.now_us / 1e6)
    with simulation:
        start = set_up(switch)
        _race(simulation, switch, history, terms)
    recorded = history.operations()
    return Run(
        recorded=recorded,
        judge=lambda: _judge(recorded, start, terms),
        kills=simulation.gate.killed,
    )


def set_up(switch: Switch) -> SwitchView:
    """Attach the fleets that writes name, and return how things then are."""
    for fleet in (BLUE, GREEN):
        version = switch.read().version
        switch.attach(fleet, health=HEALTH, owner=OWNER, expected=version)
    return switch.read()


def _race(
    simulation: Simulation, switch: Switch, history: History, terms: Terms
) -> None:
    # what was set up must be too old to be seen
    simulation.wait(terms.staleness + SECOND)
    numbers, known = itertools.count(), switch.read().version
    simulation.set_faults(terms.faults)
    simulation.set_hazards(terms.hazards)
    for number in range(terms.clients):
        chance = seeded(simulation.seed, f"client-{number}")
        client = Client(
            switch=history.recording(switch, process=f"client-{number}"),
            chance=chance,
            known=known,
            numbers=numbers,
            rest=partial(_rest, simulation, chance, terms.pace_s),
        )
        live = partial(client.live, math.ceil(OPERATIONS / terms.clients))
        simulation.spawn(f"client-{number}", live)
    simulation.run()
    _look_later(simulation, history.recording(switch, process="observer"))


def _rest(simulation: Simulation, chance: Random, pace_s: float) -> None:
    simulation.wait(timedelta(seconds=chance.random() * pace_s))


def _look_later(simulation: Simulation, switch: Switch) -> None:
    """Read in peace, and again when everything late has landed."""
    simulation.set_faults(None)
    simulation.set_hazards(None)
    switch.read()
    simulation.wait(switch.capabilities.late + 120 * SECOND)
    switch.read()


def _judge(recorded: Calls, start: SwitchView, terms: Terms) -> Verdict:
    allowed = with_stale_reads(recorded, terms.staleness)
    if not terms.hazards.pause:
        allowed = with_late_effects(allowed, terms.late + UNDER_WAY)
    if terms.kind == "slot":
        top = Slots(value=start.routing, top=int(start.version))
        return check(allowed, start=top, step=slots)
    register = Register.holding(start.routing, version=start.version)
    return check(allowed, start=register, step=compare_and_set)


def run_simulated(kind: Kind, seeds: range) -> Tally:
    """Run and judge the histories of some seeds."""
    tally = Tally(kind=kind)
    for seed in seeds:
        tally.count(seed, simulated(kind, seed))
    return tally


def run_kind(kind: Kind, seeds: range, processes: int, deadline: float) -> Tally:
    """Run all histories of one kind, until time is up."""
    tally = Tally(kind=kind, asked=len(seeds))
    began = time.monotonic()
    chunks = [seeds[first : first + CHUNK] for first in range(0, len(seeds), CHUNK)]
    with parallel(processes) as run_all:
        for part in run_all(partial(run_simulated, kind), chunks):
            tally.add(part)
            if time.monotonic() > deadline:
                break
    tally.seconds = time.monotonic() - began
    return tally


class RunAll(Protocol):
    """Runs chunks of seeds, in some order."""

    def __call__(
        self, run: Callable[[range], Tally], chunks: list[range], /
    ) -> Iterator[Tally]:
        """Return what came of each."""
        ...


@contextmanager
def parallel(processes: int) -> Iterator[RunAll]:
    """Return what runs chunks, in this process when it is the only one."""
    if processes == 1:
        yield map
        return
    with multiprocessing.get_context("fork").Pool(processes) as pool:
        yield pool.imap_unordered


# --- the program ---------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    """Run what was asked for and return the exit status."""
    options = _options(arguments)
    deadline = time.monotonic() + options.seconds
    tallies = [
        run_kind(kind, _seeds(options, kind), options.processes, deadline)
        for kind in KINDS
    ]
    haproxy = range(options.seed, options.seed + options.haproxy)
    tallies.append(run_haproxy(haproxy, deadline))
    _report([tally for tally in tallies if tally.asked])
    return int(not all(tally.is_good for tally in tallies))


def _seeds(options: argparse.Namespace, kind: Kind) -> range:
    count = options.count if options.switch in {"all", kind} else 0
    if kind == "blind" and options.switch == "all" and count:
        count = max(math.ceil(count / BLIND_SHARE), FEWEST_BLIND)
    return range(options.seed, options.seed + count)


def _report(tallies: list[Tally]) -> None:
    print(HEAD)
    for tally in tallies:
        print(tally.row())
    for tally in tallies:
        # what is known not to be linearizable is only shown when it was asked for
        shown = SHOWN if tally.kind != "blind" or len(tallies) == 1 else 0
        for violation in tally.violations[:shown]:
            print(f"\n{violation}")


def _options(arguments: list[str] | None) -> argparse.Namespace:
    summary, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        prog="python -m proofs.linearize",
        description=summary,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--count", type=int, default=2_000, help="histories for each simulated kind"
    )
    parser.add_argument("--seed", type=int, default=1, help="of the first history")
    parser.add_argument(
        "--seconds", type=float, default=math.inf, help="begin nothing after so long"
    )
    parser.add_argument(
        "--processes", type=int, default=1, help="for what is simulated"
    )
    parser.add_argument("--switch", choices=("all", *KINDS), default="all")
    parser.add_argument(
        "--haproxy", type=int, default=200, help="histories of the real HAProxy"
    )
    options = parser.parse_args(arguments)
    if options.count <= 0 and options.haproxy <= 0:
        parser.error("nothing is asked for")
    return options


if __name__ == "__main__":
    sys.exit(main())
