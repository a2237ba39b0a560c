"""Trees of files that become layers: placing things in them, cleaning them."""

import os
import shlex
import shutil
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import attrs

from immutable.errors import BuildFailed
from immutable.images.layers import Daemon, Files

SERVICES = PurePosixPath("/usr/lib/immutable/services")
_DIRECTORY = 0o755
_PROGRAM = 0o755
_MOST_LINKS = 40
_OVERLAY = "trusted.overlay."
_OPAQUE = "trusted.overlay.opaque"


@attrs.frozen
class Staging:
    """A layer in the making, upon the unpacked layers below it (the newest first).

    What is placed under a directory that a lower layer reaches by a link (``/bin`` is
    ``/usr/bin``) goes where the link points: a real directory would hide the link, and
    with it everything behind it.
    """

    root: Path
    below: tuple[Path, ...]

    def place(self, layer: Files | Daemon) -> None:
        """Add what a layer consists of; later ones replace earlier ones.

        Raises:
            BuildFailed: a file stands where a directory is needed.
        """
        if isinstance(layer, Daemon):
            self._write(SERVICES / layer.name, service_script(layer).encode())
        elif layer.source.is_dir():
            for path in walk(layer.source):
                self._copy(path, layer.target / path.relative_to(layer.source))
        else:
            self._copy(layer.source.resolve(), layer.target)

    def _write(self, target: PurePosixPath, content: bytes) -> None:
        made = self._vacate(target)
        made.write_bytes(content)
        made.chmod(_PROGRAM)

    def _copy(self, source: Path, target: PurePosixPath) -> None:
        mode = source.lstat().st_mode
        if stat.S_ISDIR(mode):
            self._directory(self._resolved(target), stat.S_IMODE(mode))
            return
        made = self._vacate(target)
        shutil.copyfile(source, made, follow_symlinks=False)
        if not stat.S_ISLNK(mode):
            made.chmod(stat.S_IMODE(mode))

    def _vacate(self, target: PurePosixPath) -> Path:
        """Return the path to write to: its directory made, nothing in its place."""
        parent = self._resolved(target.parent)
        made = self._directory(parent, _DIRECTORY) / target.name
        there = find((self.root, *self.below), parent / target.name)
        if there and there.is_dir() and not there.is_symlink():
            raise BuildFailed(
                f"{target} is to be a file, and is a directory already",
                hint="give the file's own path as the target, not its directory's",
                operation="images.build",
                backend="libvirt",
            )
        made.unlink(missing_ok=True)
        return made

    def _directory(self, path: PurePosixPath, mode: int) -> Path:
        """Make a directory and those above it; one that exists below keeps its mode."""
        if path == PurePosixPath("/"):
            return self.root
        made = self._directory(path.parent, _DIRECTORY) / path.name
        if not made.is_dir():
            made.unlink(missing_ok=True)
            made.mkdir()
            like = find(self.below, path)
            made.chmod(stat.S_IMODE(like.lstat().st_mode) if like else mode)
        return made

    def _resolved(self, path: PurePosixPath) -> PurePosixPath:
        done, left = PurePosixPath("/"), list(path.parts[1:])
        for _ in range(_MOST_LINKS):
            while left:
                found = find((self.root, *self.below), done / left[0])
                if found is not None and found.is_symlink():
                    break
                done /= left.pop(0)
            else:
                return done
            link = PurePosixPath(found.readlink())
            left = [*_joined(done, link).parts[1:], *left[1:]]
            done = PurePosixPath("/")
        raise BuildFailed(f"{path} leads through too many links", backend="libvirt")


def service_script(daemon: Daemon) -> str:
    """Return the program that the guest's supervisor runs for a service."""
    exports = [f"export {k}={shlex.quote(v)}\n" for k, v in daemon.environment]
    return "".join(["#!/bin/sh\n", *exports, f"exec {shlex.join(daemon.command)}\n"])


def clean(root: Path, leftovers: Sequence[str]) -> None:
    """Remove what an installation leaves behind that is of no use in an image.

    Args:
        root: the tree; an overlay's upper directory, or a whole root.
        leftovers: patterns relative to it.
    """
    for pattern in leftovers:
        for path in root.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
    for path in (root, *walk(root)):
        _forget_the_host(path)


def _forget_the_host(path: Path) -> None:
    """Drop overlayfs's notes on where a file came from: they name the host's inodes."""
    for name in os.listxattr(path, follow_symlinks=False):
        if name.startswith(_OVERLAY) and name != _OPAQUE:
            os.removexattr(path, name, follow_symlinks=False)


def walk(root: Path) -> Iterator[Path]:
    """Yield everything below a directory, parents first, in order of name."""
    for path in sorted(root.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from walk(path)


def find(trees: tuple[Path, ...], path: PurePosixPath) -> Path | None:
    """Return the path in the uppermost of several trees that has it.

    None when none has it, or when a layer above deleted it.
    """
    relative = path.relative_to("/")
    for tree in trees:
        found = tree / relative
        if os.path.lexists(found):
            return None if _is_whiteout(found) else found
        if _hides(tree, relative):
            return None
    return None


def _hides(tree: Path, relative: PurePosixPath) -> bool:
    """Return whether a tree hides this path of the trees below it."""
    for parent in list(relative.parents)[:-1]:
        path = tree / parent
        if os.path.lexists(path):
            return not path.is_dir() or _is_opaque(path)
    return False


def _is_whiteout(path: Path) -> bool:
    status = path.lstat()
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _is_opaque(path: Path) -> bool:
    return _OPAQUE in os.listxattr(path, follow_symlinks=False)


def _joined(directory: PurePosixPath, link: PurePosixPath) -> PurePosixPath:
    return PurePosixPath(os.path.normpath(directory / link))
