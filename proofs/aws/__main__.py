"""Kill deployers on the emulated AWS at every call, and let their calls fail.

python -m proofs.aws [kills|faults] [--count N] [--seed S] [--seconds T] [--verbs deploy,…]
"""

import argparse
import sys
import tempfile
from pathlib import Path

from proofs.aws.faulting import strike
from proofs.aws.killing import Aims, kill
from proofs.aws.planted import Bug
from proofs.aws.tally import Tally
from proofs.aws.verbs import Verb


def main(arguments: list[str] | None = None) -> int:
    """Run the experiments and return the exit status: 0 when all was as it should."""
    options = _options(arguments)
    aims = Aims(
        count=options.count,
        seed=options.seed,
        seconds=options.seconds,
        verbs=options.verbs,
        only=options.only,
        bug=options.bug,
    )
    wrong = False
    for what in options.what:
        with tempfile.TemporaryDirectory(prefix="immutable-aws-") as name:
            tally = _run(what, Path(name), aims)
        for line in tally.lines(what):
            sys.stdout.write(f"{line}\n")
        wrong = wrong or any(tally.violations())
    return int(wrong)


def _run(what: str, directory: Path, aims: Aims) -> Tally:
    if what == "kills":
        return kill(directory, aims, _note)
    return strike(directory, aims, _note)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m proofs.aws", description=(__doc__ or "").split("\n")[0]
    )
    both = ("kills", "faults")
    parser.add_argument("what", nargs="*", choices=both, default=both)
    parser.add_argument("--count", type=int, help="kills, and cells; default: all")
    parser.add_argument("--seed", type=int, default=1, help="chooses and orders them")
    parser.add_argument(
        "--seconds",
        type=float,
        default=float("inf"),
        help="begin nothing after so long, each",
    )
    parser.add_argument("--verbs", type=_verbs, default=tuple(Verb))
    parser.add_argument("--only", default="", help="those whose name contains this")
    parser.add_argument("--bug", type=Bug, help=f"plant one: {', '.join(Bug)}")
    return parser.parse_args(arguments)


def _verbs(text: str) -> tuple[Verb, ...]:
    return tuple(Verb(word) for word in text.split(","))


def _note(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
