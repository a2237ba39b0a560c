"""Planting a bug: a copy of the source with one thing wrong in it."""

import shutil
from pathlib import Path

from proofs.mutants.mutant import Edit, Mutant

ROOT = Path(__file__).resolve().parents[2]
_PARTS = ("immutable", "proofs")
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "disk", "sigkill")


class Misplaced(Exception):
    """A piece of source is not there, or there more than once: the table is too old."""


def plant(mutant: Mutant, home: Path) -> None:
    """Copy the source into a folder and break it.

    Raises:
        Misplaced: the source has changed since the mutant was written.
    """
    copy(home)
    for edit in mutant.edits:
        target = home / edit.path
        target.write_text(changed(target.read_text(), edit))


def copy(home: Path) -> None:
    """Copy the source into a folder."""
    for part in _PARTS:
        shutil.copytree(ROOT / part, home / part, ignore=_LEFT_OUT)


def changed(source: str, edit: Edit) -> str:
    """Return a source with one piece of it replaced.

    Raises:
        Misplaced: the piece does not occur exactly once.
    """
    found = source.count(edit.before)
    if found != 1:
        raise Misplaced(f"{edit.path} has {found} times: {edit.before!r}")
    return source.replace(edit.before, edit.after)
