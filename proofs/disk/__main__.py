"""Try to make the SQLite ledger lose or invent a record, and say whether it did.

    python -m proofs.disk [--states N] [--seed S] [--seconds T]

Every operation on the ledger's files fails in every way and has the process killed at it,
recoveries are killed too, and power is cut. The exit status is 1 when the ledger broke
its promise, or when less was tried than asked.
"""

import argparse
import sys
import time

from proofs.disk.campaign import Asked, prove


def main() -> int:
    """Run the proof and return the exit status."""
    asked = _arguments()
    began = time.monotonic()
    tally = prove(asked)
    taken = time.monotonic() - began
    sys.stdout.write(f"{tally.text()}\nseconds             {taken:.0f}\n")
    return int(bool(tally.violations or tally.short))


def _arguments() -> Asked:
    summary = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m proofs.disk", description=summary)
    parser.add_argument("--states", type=int, default=10_000, metavar="N")
    parser.add_argument("--seed", type=int, default=1, metavar="S")
    parser.add_argument("--seconds", type=float, default=3600, metavar="T")
    parser.add_argument("--every", type=int, default=1, metavar="K")
    parser.add_argument("--cache-pages", type=int, default=0, metavar="P")
    parser.add_argument("--planted", default="", metavar="BUG")
    return Asked(**vars(parser.parse_args()))


if __name__ == "__main__":
    sys.exit(main())
