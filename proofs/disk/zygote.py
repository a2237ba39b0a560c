"""The process that has everything imported and forks once for each run.

It is started with the shim loaded, reads one command a line, and answers each with what
the child said, a line each, and how the child ended.
"""

import gc
import json
import os
import signal
import sys
from pathlib import Path
from typing import NoReturn
from unittest.mock import patch

import attrs
import cattrs

from immutable.ledger import format as ledger_format
from proofs.disk.faults import Strike
from proofs.disk.planted import PLANTED
from proofs.disk.shim import Shim
from proofs.disk.workload import Say, Work

_PATIENCE_S = 60
BROKE = 3
"""The exit status of a child whose store did what it must not."""


@attrs.frozen(kw_only=True)
class Command:
    """What the next child has to do."""

    directory: str
    log: str
    strike: Strike
    limit: int
    """It appends at most so many records."""
    cache_pages: int = 0
    """So few pages are held in memory before they are written; 0 for as many as usual."""
    planted: str = ""
    """The name of a bug that the store is given first; empty for none."""


def main() -> None:
    """Carry out commands until there are no more."""
    gc.collect()
    # What is there already is not touched by a child's collector, and so not copied.
    gc.freeze()
    for line in sys.stdin:
        command = cattrs.structure(json.loads(line), Command)
        child = os.fork()
        if child == 0:
            _be_child(command)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        _write("ended", status, 0, "")


def _be_child(command: Command) -> NoReturn:
    # Whoever hangs is ended by a signal that is none of the faults.
    signal.alarm(_PATIENCE_S)
    shim = Shim()
    say = _says(shim)
    sys.unraisablehook = lambda args: say("broke", 0, f"ignored {args.exc_value!r}")
    if command.cache_pages:
        bounded = (*ledger_format._SAFETY, f"cache_size={command.cache_pages}")  # noqa: SLF001 - no other way in
        patch.object(ledger_format, "_SAFETY", bounded).start()
    if command.planted:
        PLANTED[command.planted].plant()
    directory = Path(command.directory)
    shim.arm(directory, Path(command.log), command.strike)
    try:
        Work(directory, say, shim.heal).run(command.limit)
    except BaseException as exc:  # noqa: BLE001 - reported, and the process ends
        say("broke", 0, f"{type(exc).__name__}: {exc}")
        os._exit(BROKE)
    os._exit(0)


def _says(shim: Shim) -> Say:
    return lambda word, index, detail: _write(word, index, shim.count(), detail)


def _write(word: str, number: int, operations: int, detail: str) -> None:
    said = f"{word}\t{number}\t{operations}\t{' '.join(detail.split())}\n"
    os.write(sys.stdout.fileno(), said.encode())
