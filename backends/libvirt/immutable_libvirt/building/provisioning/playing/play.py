# ruff: noqa: INP001 - a program, started by its path
"""Play a playbook by ansible-runner and print each line; a program of its own.

It is started in the namespaces of an image, so it imports nothing of this library.

usage: play.py ORDER.json   (arguments of ``ansible_runner.run``)
"""

import json
import sys
from pathlib import Path

import ansible_runner


def said(event: dict[str, object]) -> bool:
    """Print what an event adds to the output, at once; keep no file of it."""
    text = str(event.get("stdout") or "")
    if text:
        print(text, flush=True)  # noqa: T201 - it is a program: its output is read
    return False


def main() -> int:
    """Return the status that ansible-playbook ended with."""
    order = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    played = ansible_runner.run(**order, quiet=True, event_handler=said)
    return int(played.rc)


if __name__ == "__main__":
    sys.exit(main())
