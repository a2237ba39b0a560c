"""The layers of a recipe: values that say what becomes part of an image, and their digests.

A layer's digest is made upon its parent's and covers all that the layer depends on, so
equal digests mean equal layers. What only limits the work (a deadline) does not count.
"""

import abc
from datetime import timedelta
from pathlib import Path, PurePosixPath

import attrs

from immutable.durations import duration
from immutable.errors import InvalidInput
from immutable.images.content import Entry, inventory
from immutable.model import Digest, digest_of, pairs

DEADLINE = timedelta(minutes=30)
"""After so long a layer that runs something has failed."""
NO_HOME, NO_SHELL = PurePosixPath("/nonexistent"), PurePosixPath("/usr/sbin/nologin")
VENV = PurePosixPath("/opt/venv")
Pairs = tuple[tuple[str, str], ...]


def _deadline(value: timedelta | str) -> timedelta:
    found = duration(value)
    if not found:
        raise InvalidInput("nothing ends in no time", hint="leave out the deadline")
    return found


@attrs.frozen(kw_only=True)
class Packages:
    """Packages of the base's own distribution, installed with their dependencies."""

    names: tuple[str, ...]

    def digest(self, parent: Digest) -> Digest:
        """Return the layer's digest upon its parent."""
        return digest_of("packages", parent, sorted(set(self.names)))


@attrs.frozen(kw_only=True)
class Files:
    """A local file or tree, copied to an absolute path with its modes.

    ``owner`` is a user of the image; all belongs to root where it is empty.
    """

    source: Path
    target: PurePosixPath
    exclude: tuple[str, ...] = ()
    owner: str = ""

    def digest(self, parent: Digest) -> Digest:
        """Return the layer's digest: contents, modes and names, no times.

        Raises:
            MissingFiles: the source is not there.
            InvalidInput: it holds what cannot be copied.
        """
        tree = _listed(inventory(self.source, self.exclude))
        owner = [self.owner] if self.owner else []
        return digest_of("files", parent, str(self.target), tree, *owner)


@attrs.frozen(kw_only=True)
class Run:
    """A shell command run inside the image as root.

    With ``network`` it can reach what the building machine reaches, and what it fetches
    is not pinned: the image's record says so. ``booted`` runs it in a throw-away machine
    that has booted the layers below.
    """

    command: str
    network: bool = False
    booted: bool = False
    deadline: timedelta = attrs.field(default=DEADLINE, converter=_deadline)

    def digest(self, parent: Digest) -> Digest:
        """Return the layer's digest upon its parent."""
        network = ["network"] if self.network else []
        booted = ["booted"] if self.booted else []
        return digest_of("run", parent, self.command, *network, *booted)


@attrs.frozen(kw_only=True)
class User:
    """A user with a group of the same name; ``uid`` None takes the first that is free."""

    name: str
    uid: int | None = None
    home: PurePosixPath = NO_HOME
    shell: PurePosixPath = NO_SHELL
    groups: tuple[str, ...] = ()

    def digest(self, parent: Digest) -> Digest:
        """Return the layer's digest upon its parent."""
        places = [str(self.home), str(self.shell)]
        groups = sorted(set(self.groups))
        return digest_of("user", parent, self.name, self.uid, places, groups)


@attrs.frozen(kw_only=True)
class Daemon:
    """A command that runs while the instance lives, restarted when it ends."""

    name: str
    command: tuple[str, ...]
    environment: Pairs = attrs.field(default=(), converter=pairs)
    user: str = ""

    def digest(self, parent: Digest) -> Digest:
        """Return the layer's digest upon its parent."""
        user = [self.user] if self.user else []
        return digest_of(
            "service", parent, self.name, self.command, self.environment, *user
        )


@attrs.frozen(kw_only=True)
class Unit:
    """A systemd unit file, enabled where it says what wants it."""

    name: str
    source: Path

    def digest(self, parent: Digest) -> Digest:
        """Return the layer's digest upon its parent.

        Raises:
            MissingFiles: the source is not there.
        """
        return digest_of("unit", parent, self.name, _listed(inventory(self.source)))


@attrs.frozen(kw_only=True)
class Python:
    """An interpreter of the distribution, and a virtual environment with packages.

    ``requirements`` is a requirements file; None makes no environment.
    """

    version: str
    requirements: Path | None = None
    venv: PurePosixPath = VENV

    def digest(self, parent: Digest) -> Digest:
        """Return the layer's digest: the order of requirements, and comments, are nothing.

        Raises:
            MissingFiles: the requirements are not there.
        """
        return digest_of("python", parent, self.version, str(self.venv), self.wanted())

    def wanted(self) -> tuple[str, ...]:
        """Return the requirements as lines, sorted.

        Raises:
            MissingFiles: the file is not there.
            InvalidInput: it is no text.
        """
        if self.requirements is None:
            return ()
        text = _text(self.requirements).replace("\\\n", " ")
        lines = (line.partition(" #")[0].split() for line in text.splitlines())
        kept = {" ".join(words) for words in lines if words}
        return tuple(sorted(line for line in kept if not line.startswith("#")))


@attrs.frozen(kw_only=True)
class ByTool(abc.ABC):
    """What layers that another tool makes have in common.

    ``source`` is the directory of the tool's own files: all that is in it counts. A kind
    of its own says what the tool is asked to do, under the names that its users know.
    """

    source: Path
    network: bool = False
    deadline: timedelta = attrs.field(default=DEADLINE, converter=_deadline)

    @abc.abstractmethod
    def asked(self) -> tuple[str, str, Pairs]:
        """Return the tool, what it begins with, and the values that are handed to it."""

    def digest(self, parent: Digest) -> Digest:
        """Return the layer's digest upon its parent.

        Raises:
            MissingFiles: the source is not there.
        """
        tool, entry, values = self.asked()
        tree = _listed(inventory(self.source))
        network = ["network"] if self.network else []
        return digest_of(tool, parent, entry, list(values), tree, *network)


@attrs.frozen(kw_only=True)
class Ansible(ByTool):
    """A playbook, run by ansible-core against the image; beside it roles, templates, files."""

    playbook: str
    variables: Pairs = attrs.field(default=(), converter=pairs)

    def asked(self) -> tuple[str, str, Pairs]:
        """Return the playbook and its variables."""
        return "ansible", self.playbook, self.variables


@attrs.frozen(kw_only=True)
class Puppet(ByTool):
    """A manifest, applied by ``puppet apply`` inside the image; ``modules`` are found."""

    manifest: str
    facts: Pairs = attrs.field(default=(), converter=pairs)

    def asked(self) -> tuple[str, str, Pairs]:
        """Return the manifest and its facts."""
        return "puppet", self.manifest, self.facts


@attrs.frozen(kw_only=True)
class Cfengine(ByTool):
    """A policy, run by ``cf-agent`` inside the image."""

    policy: str
    classes: tuple[str, ...] = ()

    def asked(self) -> tuple[str, str, Pairs]:
        """Return the policy and its classes."""
        return "cfengine", self.policy, pairs((name, "") for name in self.classes)


@attrs.frozen(kw_only=True)
class Chef(ByTool):
    """A run list, converged by ``chef-client --local-mode`` inside the image.

    ``source`` is the repository with its ``cookbooks``; ``run_list`` has its items
    separated by commas, as the tool wants them.
    """

    run_list: str
    attributes: Pairs = attrs.field(default=(), converter=pairs)

    def asked(self) -> tuple[str, str, Pairs]:
        """Return the run list and its attributes."""
        return "chef", self.run_list, self.attributes


Provisioner = Ansible | Puppet | Cfengine | Chef
"""Layers that another tool makes, with the tool's own files."""
Layer = Packages | Files | Run | User | Daemon | Unit | Python | Provisioner


def _text(path: Path) -> str:
    inventory(path)
    try:
        return path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, IsADirectoryError) as exc:
        raise InvalidInput(f"{path} is no text", hint="give a file in UTF-8") from exc


def _listed(entries: tuple[Entry, ...]) -> list[tuple[str, str, str, str]]:
    return [(e.name, e.kind, f"{e.mode:o}", e.content) for e in entries]
