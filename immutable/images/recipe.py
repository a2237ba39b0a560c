"""How to make an image: a base and ordered layers, as a value with a digest."""

import hashlib
import os
import re
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import attrs

from immutable.errors import InvalidInput, MissingFiles
from immutable.model import Digest, digest_of, pairs

_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.:-]*(=[A-Za-z0-9.+:~-]+)?")
_SERVICE = re.compile(r"[a-z][a-z0-9-]{0,30}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BLOCK = 1 << 20


@attrs.frozen(kw_only=True)
class Packages:
    """Packages of the base's own distribution, installed with their dependencies."""

    names: tuple[str, ...]

    def digest(self, parent: Digest) -> Digest:
        """Return the layer's digest upon its parent."""
        return digest_of("packages", parent, sorted(self.names))


@attrs.frozen(kw_only=True)
class Files:
    """A local file or tree, copied to an absolute path; owned by root, modes kept."""

    source: Path
    target: PurePosixPath

    def digest(self, parent: Digest) -> Digest:
        """Return the layer's digest: contents, modes and names, no times.

        Raises:
            MissingFiles: the source is not there.
        """
        return digest_of(
            "files", parent, str(self.target), list(_inventory(self.source))
        )


@attrs.frozen(kw_only=True)
class Run:
    """A shell command run inside the image as root; it may count on no network."""

    command: str

    def digest(self, parent: Digest) -> Digest:
        """Return the layer's digest upon its parent."""
        return digest_of("run", parent, self.command)


@attrs.frozen(kw_only=True)
class Daemon:
    """A command that runs while the instance lives, restarted when it ends."""

    name: str
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = attrs.field(default=(), converter=pairs)

    def digest(self, parent: Digest) -> Digest:
        """Return the layer's digest upon its parent."""
        return digest_of("service", parent, self.name, self.command, self.environment)


Layer = Packages | Files | Run | Daemon


@attrs.frozen(kw_only=True)
class Recipe:
    """A base and its layers. Each method returns a new recipe; nothing is built yet.

    >>> recipe = Recipe.base("debian:12").packages("python3").run("date > /etc/built")
    >>> [type(layer).__name__ for layer in recipe.layers]
    ['Packages', 'Run']
    """

    origin: str
    """The base, as ``distribution:version``."""
    layers: tuple[Layer, ...] = ()

    @classmethod
    def base(cls, origin: str) -> "Recipe":
        """Begin a recipe from a distribution, for example ``"debian:12"``.

        Raises:
            InvalidInput: it is not ``distribution:version``.
        """
        if not re.fullmatch(r"[a-z]+:[a-z0-9.]+", origin):
            raise InvalidInput(
                f"base {origin!r} is not distribution:version", hint='try "debian:12"'
            )
        return cls(origin=origin)

    def packages(self, *names: str) -> "Recipe":
        """Install packages of the distribution; ``name=version`` pins one.

        Raises:
            InvalidInput: no name, or one that no package can have.
        """
        bad = [name for name in names if not _PACKAGE.fullmatch(name)]
        if bad or not names:
            raise InvalidInput(
                f"packages {bad or names!r} cannot be installed",
                hint="give package names",
            )
        return self._with(Packages(names=names))

    def files(self, source: str | os.PathLike[str], target: str) -> "Recipe":
        """Copy a local file or directory to an absolute path in the image.

        Whether the source is there is checked when the recipe is built or digested.

        Raises:
            InvalidInput: the target is not absolute, or leaves the image.
        """
        # POSIX lets two leading slashes mean something else, and pathlib keeps them.
        path = PurePosixPath(re.sub("^/+", "/", target))
        if not path.is_absolute() or ".." in path.parts:
            raise InvalidInput(
                f"target {target!r} is not absolute", hint="begin it with /"
            )
        return self._with(Files(source=Path(source), target=path))

    def run(self, command: str) -> "Recipe":
        """Run a shell command inside the image.

        Raises:
            InvalidInput: the command is empty.
        """
        if not command.strip():
            raise InvalidInput("an empty command does nothing", hint="leave it out")
        return self._with(Run(command=command))

    def service(
        self, name: str, *command: str, environment: dict[str, str] | None = None
    ) -> "Recipe":
        """Start a command at boot and keep it running.

        Args:
            name: lower-case letters, digits and hyphens.
            command: the program and its arguments; one string is split as by a shell.
            environment: variables for it alone.

        Raises:
            InvalidInput: the name or the command cannot be used.
        """
        argv = tuple(shlex.split(command[0])) if len(command) == 1 else command
        bad = [key for key in environment or {} if not _VARIABLE.fullmatch(key)]
        if bad:
            message = f"service {name!r} cannot be given the variables {bad}"
            raise InvalidInput(message, hint="name them with letters, digits and _")
        if not _SERVICE.fullmatch(name) or not argv or not argv[0].startswith("/"):
            raise InvalidInput(
                f"service {name!r} with command {argv!r} cannot be started",
                hint="use [a-z0-9-] and a program with an absolute path",
            )
        return self._with(
            Daemon(name=name, command=argv, environment=environment or {})
        )

    def digests(self) -> tuple[Digest, ...]:
        """Return the digest of the base and then of each layer, in order.

        A layer's digest covers all that it depends on, its parent included, so equal
        digests mean equal layers.

        Raises:
            MissingFiles: a source is not there.
        """
        chain = [digest_of("base", self.origin)]
        for layer in self.layers:
            chain.append(layer.digest(chain[-1]))
        return tuple(chain)

    @property
    def digest(self) -> Digest:
        """Return the digest of the whole recipe."""
        return self.digests()[-1]

    def _with(self, layer: Layer) -> "Recipe":
        return attrs.evolve(self, layers=(*self.layers, layer))


def _inventory(source: Path) -> Iterator[tuple[str, str, str]]:
    if not source.exists():
        raise MissingFiles(
            f"{source} is not there",
            hint="the path is relative to the working directory",
        )
    if not source.is_dir():
        # Through a link: what is copied is the file, so its contents have to count.
        yield _entry(source.resolve(), ".")
        return
    for path in sorted(source.rglob("*")):
        yield _entry(path, path.relative_to(source).as_posix())


def _entry(path: Path, name: str) -> tuple[str, str, str]:
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        return (name, "link", str(path.readlink()))
    if stat.S_ISDIR(status.st_mode):
        return (name, f"{stat.S_IMODE(status.st_mode):o}", "directory")
    if not stat.S_ISREG(status.st_mode):
        raise InvalidInput(
            f"{path} is no file, directory or link", hint="leave it out of the tree"
        )
    return (name, f"{stat.S_IMODE(status.st_mode):o}", _content(path))


def _content(path: Path) -> str:
    hasher = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK):
            hasher.update(block)
    return hasher.hexdigest()
