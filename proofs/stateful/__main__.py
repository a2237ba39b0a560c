"""``python -m proofs stateful [--examples N] [--steps N] [--seed S] [--processes N]``."""

import argparse
import multiprocessing
import sys
import time

from proofs.stateful.runs import Tally, explore


def main() -> None:
    """Run the machine, say how much ran, and exit with 1 if it was not enough."""
    options = _options()
    began = time.monotonic()
    share = -(-options.examples // options.processes)
    jobs = [
        (share, options.steps, options.seed + number)
        for number in range(options.processes)
    ]
    # each its own interpreter: Hypothesis and the counts belong to a process
    with multiprocessing.get_context("spawn").Pool(options.processes) as pool:
        tallies = pool.starmap(explore, jobs)
    tally = Tally.of(tallies)
    print(tally.text())
    print(f"{time.monotonic() - began:.0f} s")
    sys.exit(1 if tally.shortfall(options.examples, options.steps) else 0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="proofs stateful", description=__doc__)
    parser.add_argument("--examples", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
