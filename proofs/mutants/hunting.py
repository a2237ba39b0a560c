"""One hunt: a broken copy, a process of its own, and one row of the table."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import attrs

from proofs.mutants.mutant import Mutant
from proofs.mutants.planting import ROOT, Misplaced, plant

CONTROL_NAME = "nothing (control)"
_PATIENCE_S = 300


@attrs.frozen(kw_only=True)
class Row:
    """What became of one planted bug."""

    name: str
    by: str = ""
    tries: int = 0
    seconds: float = 0.0
    what: str = ""
    redundant: str = ""
    is_bad: bool = False

    @property
    def is_caught(self) -> bool:
        """Return whether somebody noticed."""
        return bool(self.by) and not self.is_bad

    def text(self) -> str:
        """Return the row as people read it."""
        said = self.by or ("redundant: " + self.redundant if self.redundant else "-")
        verdict = "BAD " if self.is_bad else ""
        return f"{verdict}{self.name:58} | {said:48} | {self.tries:5} | {self.seconds:5.1f}"


def control() -> Row:
    """Look at the source as it is."""
    said = _run(ROOT, CONTROL_NAME)
    by = str(said.get("by", ""))
    return _row(CONTROL_NAME, said, is_bad=bool(by or said.get("failed")))


def hunt(mutant: Mutant) -> Row:
    """Plant a bug and see who notices."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            plant(mutant, Path(folder))
        except Misplaced as exc:
            return Row(name=mutant.name, what=str(exc), is_bad=True)
        said = _run(Path(folder), mutant.name)
    if "by" not in said:
        bad = bool(said.get("failed")) or not mutant.redundant
        return _row(mutant.name, said, is_bad=bad, redundant=mutant.redundant)
    clean = _run(ROOT, "--again", *said["again"])
    if clean.get("what") or clean.get("failed"):
        said = {**said, "what": f"noticed in the source as it is, too: {clean}"}
        return _row(mutant.name, said, is_bad=True)
    return _row(mutant.name, said, is_bad=False)


def _row(name: str, said: dict[str, Any], *, is_bad: bool, redundant: str = "") -> Row:
    return Row(
        name=name,
        by=said.get("by", ""),
        tries=said.get("before", 0) + said.get("tries", 0),
        seconds=said.get("seconds", 0.0),
        what=said.get("what", said.get("failed", "nobody noticed")),
        redundant=redundant,
        is_bad=is_bad,
    )


def _run(home: Path, *arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "proofs.mutants.catching", *arguments]
    try:
        done = subprocess.run(
            command,
            cwd=home,
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        return {"failed": f"no end within {_PATIENCE_S} s"}
    except (IndexError, ValueError):
        return {"failed": done.stderr[-500:]}
    return found
