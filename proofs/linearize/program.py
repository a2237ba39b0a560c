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
import math
import multiprocessing
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Protocol

from immutable.testing.registers import KINDS, Kind
from proofs.linearize.racing import run_haproxy
from proofs.linearize.simulating import run_simulated
from proofs.linearize.tally import HEAD, Tally

BLIND_SHARE = 20
"""One blind history for so many of the others."""
FEWEST_BLIND = 20
"""Of so few, some are sure to show that a blind switch is not linearizable."""
CHUNK = 50
"""So many histories are run between two looks at the clock."""
SHOWN = 3
"""So many violations of each kind are printed."""


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
