"""Run one of the proofs: ``python -m proofs NAME [its options]``."""

import runpy
import sys

PROOFS = {
    "simulate": "schedules of 2 to 4 deployers, per kind of switch",
    "kills": "a kill at every point, and every kill inside every recovery",
    "faults": "every call by every fault by first, twice, always",
    "stateful": "the public calls against a simple model, by Hypothesis",
    "linearize": "histories of the switch register",
    "disk": "SQLite under failing, torn and full disks",
    "sigkill": "real SIGKILLs of real deployers",
    "aws": "SIGKILLs and faults at every call to an emulated AWS",
    "builds": "builds of images that are killed",
    "mutants": "planted bugs, each to be caught",
}


def main() -> None:
    """Run the proof that the first argument names."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in PROOFS:
        lines = [f"  {known:10} {what}" for known, what in PROOFS.items()]
        sys.exit("\n".join(["Name one of the proofs:", *lines]))
    sys.argv[0:2] = [f"proofs {name}"]
    runpy.run_module(f"proofs.{name}", run_name="__main__", alter_sys=True)


main()
