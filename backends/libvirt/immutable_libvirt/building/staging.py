"""Layers that are placed: files, services and users, without running anything."""

import os
import shlex
import shutil
import stat
from pathlib import Path, PurePosixPath

import attrs

from immutable.errors import BuildFailed
from immutable.images.content import Entry, inventory
from immutable.images.layers import NO_HOME, Daemon, Files, User
from immutable_libvirt.building import accounts
from immutable_libvirt.building.tree import find

SERVICES = PurePosixPath("/usr/lib/immutable/services")
Placed = Files | Daemon | User
_DIRECTORY = 0o755
_PROGRAM = 0o755
_HOME = 0o700
_MOST_LINKS = 40
_ETC = PurePosixPath("/etc")
_SETPRIV = PurePosixPath("/usr/bin/setpriv")
_ROOT = (0, 0)


@attrs.frozen
class Staging:
    """A layer in the making, upon the unpacked layers below it (the newest first).

    What is placed under a directory that a lower layer reaches by a link (``/bin`` is
    ``/usr/bin``) goes where the link points: a real directory would hide the link, and
    with it everything behind it.
    """

    root: Path
    below: tuple[Path, ...]

    def place(self, layer: Placed) -> None:
        """Add what a layer consists of; later ones replace earlier ones.

        Raises:
            BuildFailed: a file stands where a directory is needed, or a user is needed
                that the image does not have, or has as another one.
        """
        match layer:
            case Files():
                self._place_files(layer)
            case Daemon():
                script = service_script(layer, self._runner(layer)).encode()
                self._write(SERVICES / layer.name, script, _PROGRAM)
            case User():
                self._add(layer)

    def _place_files(self, layer: Files) -> None:
        owner = self._owner(layer.owner)
        if not layer.source.is_dir():
            self._copy(layer.source.resolve(), layer.target, owner)
            return
        self._directory(self._resolved(layer.target), _DIRECTORY, owner)
        for entry in inventory(layer.source, layer.exclude):
            self._take(
                layer.source / entry.name, layer.target / entry.name, entry, owner
            )

    def _take(
        self, source: Path, target: PurePosixPath, entry: Entry, owner: tuple[int, int]
    ) -> None:
        if entry.kind == "directory":
            self._directory(self._resolved(target), entry.mode, owner)
        else:
            self._copy(source, target, owner)

    def _add(self, user: User) -> None:
        before = self._accounts()
        after = accounts.add(before, user)
        for name in accounts.DATABASES:
            if after[name] != before[name]:
                self._replace(
                    _ETC / name, after[name].encode("utf-8", "surrogateescape")
                )
        if user.home != NO_HOME:
            made = accounts.need(after, user.name)
            home = self._resolved(user.home)
            self._directory(home, _HOME, (made.uid, made.gid))

    def _accounts(self) -> accounts.Texts:
        return {name: self._read(_ETC / name) for name in accounts.DATABASES}

    def _owner(self, user: str) -> tuple[int, int]:
        if not user:
            return _ROOT
        found = accounts.need(self._accounts(), user)
        return found.uid, found.gid

    def _runner(self, daemon: Daemon) -> accounts.Account | None:
        """Return the user that a service runs as, where it is not root."""
        if not daemon.user:
            return None
        found = accounts.need(self._accounts(), daemon.user)
        if self._find(self._resolved(_SETPRIV)) is None:
            raise BuildFailed(
                f"service {daemon.name!r} cannot run as {daemon.user!r}: the image has"
                f" no {_SETPRIV}",
                hint='put it into the image first: .packages("util-linux")',
                operation="images.build",
                backend="libvirt",
            )
        return found

    def _read(self, path: PurePosixPath) -> str:
        found = self._find(self._resolved(path))
        return found.read_text("utf-8", "surrogateescape") if found else ""

    def _replace(self, target: PurePosixPath, content: bytes) -> None:
        """Write a file anew with the mode and owner that it has."""
        there = self._find(self._resolved(target))
        status = there.lstat() if there else None
        made = self._write(
            target, content, stat.S_IMODE(status.st_mode) if status else 0o600
        )
        if status:
            _give(made, (status.st_uid, status.st_gid))

    def _write(self, target: PurePosixPath, content: bytes, mode: int) -> Path:
        made = self._vacate(target)
        made.write_bytes(content)
        made.chmod(mode)
        return made

    def _copy(
        self, source: Path, target: PurePosixPath, owner: tuple[int, int]
    ) -> None:
        mode = source.lstat().st_mode
        made = self._vacate(target)
        shutil.copyfile(source, made, follow_symlinks=False)
        _give(made, owner)
        if not stat.S_ISLNK(mode):
            made.chmod(stat.S_IMODE(mode))  # last: a new owner takes special bits away

    def _vacate(self, target: PurePosixPath) -> Path:
        """Return the path to write to: its directory made, nothing in its place."""
        parent = self._resolved(target.parent)
        made = self._directory(parent, _DIRECTORY) / target.name
        there = self._find(parent / target.name)
        if there and there.is_dir() and not there.is_symlink():
            raise BuildFailed(
                f"{target} is to be a file, and is a directory already",
                hint="give the file's own path as the target, not its directory's",
                operation="images.build",
                backend="libvirt",
            )
        made.unlink(missing_ok=True)
        return made

    def _directory(
        self, path: PurePosixPath, mode: int, owner: tuple[int, int] = _ROOT
    ) -> Path:
        """Make a directory and those above it; one that exists below stays as it is."""
        if path == PurePosixPath("/"):
            return self.root
        made = self._directory(path.parent, _DIRECTORY) / path.name
        there = self._find(path)
        if there and not there.is_dir():
            raise BuildFailed(
                f"{path} is to be a directory, and is a file already",
                hint="choose another target, or take the file away before: .run('rm …')",
                operation="images.build",
                backend="libvirt",
            )
        if not made.is_dir():
            made.mkdir()
            like = find(self.below, path)
            status = like.lstat() if like else None
            _give(made, (status.st_uid, status.st_gid) if status else owner)
            made.chmod(stat.S_IMODE(status.st_mode) if status else mode)
        return made

    def _find(self, path: PurePosixPath) -> Path | None:
        return find((self.root, *self.below), path)

    def _resolved(self, path: PurePosixPath) -> PurePosixPath:
        done, left = PurePosixPath("/"), list(path.parts[1:])
        for _ in range(_MOST_LINKS):
            while left:
                found = self._find(done / left[0])
                if found is not None and found.is_symlink():
                    break
                done /= left.pop(0)
            else:
                return done
            link = PurePosixPath(found.readlink())
            left = [*_joined(done, link).parts[1:], *left[1:]]
            done = PurePosixPath("/")
        raise BuildFailed(f"{path} leads through too many links", backend="libvirt")


def service_script(daemon: Daemon, runner: accounts.Account | None = None) -> str:
    """Return the program that the guest's supervisor runs for a service.

    Args:
        daemon: the service.
        runner: the user that it runs as; None is root.
    """
    exports = [f"export {k}={shlex.quote(v)}\n" for k, v in daemon.environment]
    command = shlex.join((*_become(runner), *daemon.command))
    return "".join(["#!/bin/sh\n", *_identity(runner), *exports, f"exec {command}\n"])


def _identity(runner: accounts.Account | None) -> list[str]:
    if runner is None:
        return []
    values = {"HOME": runner.home, "LOGNAME": runner.name, "USER": runner.name}
    return [f"export {name}={shlex.quote(value)}\n" for name, value in values.items()]


def _become(runner: accounts.Account | None) -> tuple[str, ...]:
    """Return how a program gives up being root before it becomes the service."""
    if runner is None:
        return ()
    names = (f"--reuid={runner.name}", f"--regid={runner.gid}", "--init-groups")
    return (str(_SETPRIV), *names, "--inh-caps=-all", "--")


def _give(path: Path, owner: tuple[int, int]) -> None:
    status = path.lstat()
    if (status.st_uid, status.st_gid) != owner and os.geteuid() == 0:
        os.chown(path, *owner, follow_symlinks=False)


def _joined(directory: PurePosixPath, link: PurePosixPath) -> PurePosixPath:
    return PurePosixPath(os.path.normpath(directory / link))
