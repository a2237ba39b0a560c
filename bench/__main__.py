"""Measure, each figure beside its floor or peer from the same run.

    python -m bench [NAME…] [--json FILE] [--rounds N] [--backend URL]

Prints JSON, then a table. The exit status is 1 when a figure that is required was
missed, such as a failed request, or when a bench broke; ratios never decide it.
"""

import argparse
import importlib
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

from bench.figures import CannotMeasure, Figure, Unmeasured
from bench.report import Row, machine, say, to_json, to_table
from bench.settings import Settings

BENCHES = {
    "import": "bench.importing",
    "ledger": "bench.ledger",
    "simulation": "bench.simulation",
    "orchestration": "bench.orchestration",
    "switch": "bench.switching",
    "flips": "bench.flips",
    "layers": "bench.layers",
    "rollback": "bench.rollback",
    "deploy": "bench.deploy",
    "aws": "bench.aws.measuring",
}
Measure = Callable[[Settings], Sequence[Row]]


def main() -> int:
    """Run what was asked for and return the exit status."""
    asked = _arguments()
    # As after Ctrl-C, everything that was started is ended.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    before = machine()
    settings = Settings(rounds=asked.rounds, backend=asked.backend)
    rows = [row for name in asked.names or BENCHES for row in _run(name, settings)]
    document = to_json(rows, before)
    if asked.json:
        asked.json.write_text(f"{document}\n", encoding="utf-8")
    print(document)
    print(to_table(rows))
    return int(any(_is_fatal(row) for row in rows))


def _arguments() -> argparse.Namespace:
    summary, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(prog="python -m bench", description=summary)
    parser.epilog = rest.rpartition("\n\n")[2]
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"of {', '.join(BENCHES)}; all"
    )
    parser.add_argument(
        "--json", type=Path, metavar="FILE", help="write JSON there too"
    )
    parser.add_argument(
        "--rounds", type=_positive, help="turns of each comparison; each has a default"
    )
    parser.add_argument("--backend", default=Settings().backend, metavar="URL")
    asked = parser.parse_args()
    if strangers := sorted(set(asked.names) - set(BENCHES)):
        parser.error(f"no bench {', '.join(strangers)}; there are {', '.join(BENCHES)}")
    return asked


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return number


def _run(name: str, settings: Settings) -> Sequence[Row]:
    say(f"{name} …")
    began = time.monotonic()
    try:
        measure = cast("Measure", importlib.import_module(BENCHES[name]).measure)
        return measure(settings)
    except CannotMeasure as exc:
        return (Unmeasured(name=name, why=str(exc)),)
    # one bench that breaks must not take the others' figures along
    except Exception as exc:  # noqa: BLE001
        traceback.print_exc()
        why = f"it broke: {type(exc).__name__}: {exc}"
        return (Unmeasured(name=name, why=why, failed=True),)
    finally:
        say(f"{name} took {time.monotonic() - began:.0f} s")


def _is_fatal(row: Row) -> bool:
    return row.is_fatal if isinstance(row, Figure) else row.failed


if __name__ == "__main__":
    sys.exit(main())
