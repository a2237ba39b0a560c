"""``python -m proofs.mutants.catching NAME``: in a broken copy, look for who notices.

Prints one line of JSON. ``--again A B …`` tries once more what noticed something.
"""

import json
import sys
import time

import attrs

from proofs.mutants.catchers import Catch, try_again
from proofs.mutants.table import CONTROL, MUTANTS


def main() -> None:
    """Hunt for one mutant, or try one thing again."""
    began = time.process_time()
    name, *rest = sys.argv[1:]
    if name == "--again":
        said: dict[str, object] = {"what": try_again(tuple(rest))}
    else:
        said = _hunt(name)
    said["seconds"] = time.process_time() - began
    print(json.dumps(said))


def _hunt(name: str) -> dict[str, object]:
    known = {mutant.name: mutant.catchers for mutant in MUTANTS}
    tries = 0
    for catcher in known.get(name, CONTROL):
        found = catcher.hunt()
        if isinstance(found, Catch):
            return {**attrs.asdict(found), "before": tries}
        tries += found
    return {"before": tries}


if __name__ == "__main__":
    main()
