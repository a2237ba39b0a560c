"""Writing what an image consists of into a directory, which nothing in it leads out of."""

from pathlib import Path, PurePosixPath

import attrs

from immutable.images import unbooted
from immutable.images.content import Entry

_FILE = 0o644
_DIRECTORY = 0o755


@attrs.define(eq=False)
class Laying:
    """A root in the making: links in it are followed as in a chroot."""

    root: Path
    _modes: dict[Path, int] = attrs.field(factory=dict, init=False)

    def add(self, entry: Entry, target: PurePosixPath, content: bytes) -> None:
        """Add one entry of a tree that belongs at a path."""
        path = target / entry.name
        match entry.kind:
            case "directory":
                self._modes[self.directory(path)] = entry.mode
            case "link":
                self._vacate(path).symlink_to(entry.content)
            case "file":
                self.write(path, content, entry.mode)

    def write(self, path: PurePosixPath, content: bytes, mode: int = _FILE) -> None:
        """Write a file; one that is there is replaced."""
        made = self._vacate(path)
        made.write_bytes(content)
        made.chmod(mode)

    def append(self, path: PurePosixPath, line: str) -> None:
        """Add a line to a text."""
        self.write(path, f"{self.read(path)}{line}\n".encode())

    def read(self, path: PurePosixPath) -> str:
        """Return a text, which is empty where there is none."""
        return unbooted.read(self.root, str(path)) or ""

    def directory(self, path: PurePosixPath) -> Path:
        """Return where a directory is, made if it is not there."""
        found = unbooted.located(self.root, str(path))
        if found is not None:
            return found.path
        made = self.directory(path.parent) / path.name
        made.mkdir(mode=_DIRECTORY)
        return made

    def finish(self) -> None:
        """Set the modes of directories: some cannot be written to from here on."""
        for path, mode in sorted(self._modes.items(), reverse=True):
            path.chmod(mode)

    def _vacate(self, path: PurePosixPath) -> Path:
        made = self.directory(path.parent) / path.name
        made.unlink(missing_ok=True)
        return made
