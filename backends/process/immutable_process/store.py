"""Directories that appear whole, vanish whole, and are changed by one at a time."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from immutable.authoring import NameRules

_RULES = NameRules(max_chars=63, pattern="[a-z0-9-]+")


def entry(directory: Path, name: str) -> Path:
    """Return the path of an entry; a name that could lead elsewhere is changed."""
    return directory / _RULES.fit(name)


@contextmanager
def changing(directory: Path) -> Iterator[None]:
    """Keep others out who change a directory's entries, and clear up after the dead.

    What begins with a dot is being made, or removed, by whoever holds the lock.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for left in directory.glob(".*/"):
            shutil.rmtree(left)
        yield


def copy(source: Path, target: Path) -> None:
    """Copy a file or a tree, and what links in it lead to, over what is there.

    Unlike shutil's it never puts a file into a directory that has its name, and raises
    the first error as it is: whether there was room is read from its number.
    """
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
        for path in source.iterdir():
            copy(path, target / path.name)
    else:
        shutil.copyfile(source, target)
    shutil.copystat(source, target)


def draft_of(path: Path) -> Path:
    """Return where an entry is made; it appears when this is renamed to its path."""
    return path.with_name(f".{path.name}")


def discard(path: Path) -> None:
    """Remove an entry; one that is not there is no error."""
    if path.exists():
        shutil.rmtree(path.rename(draft_of(path)))
