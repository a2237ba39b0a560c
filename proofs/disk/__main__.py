"""Try to make the SQLite ledger lose or invent a record, and say whether it did.

    python -m proofs.disk [--states N] [--seed S] [--seconds T]

Every operation on the ledger's files fails in every way and has the process killed at it;
recoveries are killed, too; and the power is cut. All of it twice: the second time SQLite
has hardly any memory, and changes the file before it commits. The exit status is 1 when
the ledger broke its promise, or when less was tried than asked.
"""

import argparse
import sys
import time
from collections.abc import Iterator

from proofs.disk.campaign import Asked, prove
from proofs.disk.planted import PLANTED


def main() -> int:
    """Run the proof and return the exit status."""
    return max([_prove(title, asked) for title, asked in _parts(_arguments())])


def _prove(title: str, asked: Asked) -> int:
    began = time.monotonic()
    tally = prove(asked)
    taken = time.monotonic() - began
    sys.stdout.write(f"{title}\n{tally.text()}\nseconds           {taken:.0f}\n\n")
    sys.stdout.flush()
    return int(bool(tally.violations or tally.short))


def _parts(given: argparse.Namespace) -> Iterator[tuple[str, Asked]]:
    for title, share, cache_pages in (
        ("with the usual cache", 2, 0),
        ("with a cache of one page", 1, 1),
    ):
        yield (
            title,
            Asked(
                states=given.states * share // 3,
                seed=given.seed,
                seconds=given.seconds * share / 3,
                every=given.every,
                cache_pages=cache_pages,
                planted=given.planted,
            ),
        )


def _arguments() -> argparse.Namespace:
    summary = (__doc__ or "").partition("\n")[0]
    parser = argparse.ArgumentParser(prog="python -m proofs.disk", description=summary)
    add = parser.add_argument
    add("--states", type=int, default=12_000, metavar="N", help="after power cuts")
    add("--seed", type=int, default=1, metavar="S", help="of what is left to chance")
    add("--seconds", type=float, default=3600, metavar="T", help="then give up")
    add("--every", type=int, default=1, metavar="K", help="strike each K-th operation")
    add("--planted", default="", choices=["", *PLANTED], help="a bug, to be found")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
