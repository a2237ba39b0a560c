"""``python -m proofs mutants [--only TEXT] [--processes N]``: plant each bug, see who notices.

The first row is the source as it is, of which nobody may notice anything, and whatever
notices a bug is tried on that source, too. A bug that nobody notices fails the run, unless
the table says what else defends the same promise.
"""

import argparse
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from proofs.mutants.hunting import CONTROL_NAME, control, hunt
from proofs.mutants.table import MUTANTS


def main() -> int:
    """Hunt for what was asked for and return the exit status."""
    asked = _arguments()
    chosen = [mutant for mutant in MUTANTS if asked.only in mutant.name]
    began = time.monotonic()
    rows = [control()]
    print(rows[0].text(), flush=True)
    # threads only wait: each hunt is a process of its own
    with ThreadPoolExecutor(asked.processes) as pool:
        for row in pool.map(hunt, chosen):
            rows.append(row)
            print(row.text(), flush=True)
    bad = [row for row in rows if row.is_bad]
    caught = sum(row.is_caught for row in rows)
    took = time.monotonic() - began
    print(f"\n{len(chosen)} planted, {caught} noticed, {len(bad)} bad, {took:.0f} s")
    print(*(f"BAD {row.name}: {row.what}" for row in bad), sep="\n")
    return int(bool(bad) or len(rows) < 2 or rows[0].name != CONTROL_NAME)  # noqa: PLR2004 - the control alone proves nothing


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m proofs mutants")
    parser.add_argument("--only", default="", help="those with this text in the name")
    parser.add_argument("--processes", type=int, default=2)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
