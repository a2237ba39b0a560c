"""Whether a service begins at boot, and whether it is at work in a booted instance."""

import re
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path, PurePosixPath

import attrs

from immutable.durations import duration
from immutable.errors import InvalidInput
from immutable.images.proof.checking import (
    Judgement,
    digest_of_check,
    failed,
    judged,
    passed,
    undecided,
)
from immutable.images.proof.network import http as http_check
from immutable.images.proof.network import port as port_check
from immutable.images.proof.places import Place, Root, Target, checked_port
from immutable.images.unbooted import OutOfReach, find
from immutable.model import Digest

SCRIPTS = PurePosixPath("/usr/lib/immutable/services")
_UNITS = tuple(
    PurePosixPath(directory)
    for directory in ("/etc/systemd/system", "/usr/lib/systemd/system")
)
_WANTED = re.compile(r".+\.(?:wants|requires|upholds)")
_NAME = re.compile(r"[A-Za-z0-9:_.@-]{1,200}")


@attrs.frozen(kw_only=True)
class Service:
    """A service that must begin at boot, or must not, and may have to answer."""

    service: str = attrs.field()
    is_enabled: bool = True
    port: int | None = attrs.field(
        default=None, converter=attrs.converters.optional(checked_port)
    )
    path: str | None = None
    within: timedelta = attrs.field(converter=duration)

    @service.validator
    def _check_service(self, _attribute: object, value: str) -> None:
        if not _NAME.fullmatch(value):
            raise InvalidInput(f"no service is called {value!r:.80}", hint="name it")

    def __attrs_post_init__(self) -> None:
        """Refuse a path without a port, and an answer of what does not run."""
        if self.path is not None and self.port is None:
            raise InvalidInput("a path without a port", hint="give port= as well")
        if self.port is not None and not self.is_enabled:
            raise InvalidInput(
                f"{self.service} is not to begin and is to answer", hint="ask for one"
            )

    @property
    def name(self) -> str:
        """Return the name under which it is recorded."""
        return f"service({self.service}{'' if self.is_enabled else ', enabled=False'})"

    @property
    def needs(self) -> tuple[Place, ...]:
        """Return the root, and the booted instance where it is to answer."""
        return (Place.ROOT,) if self.port is None else (Place.ROOT, Place.BOOTED)

    @property
    def digest(self) -> Digest:
        """Return a digest of what is asked for."""
        return digest_of_check(self)

    def judge(self, target: Target) -> Judgement:
        """See in the root whether it begins, in the instance whether it answers."""
        if isinstance(target, Root):
            return self._begins(target.path)
        if self.port is None:
            return undecided(self.name, "without a port, nobody can be asked")
        asked = port_check(self.port, within=self.within)
        if self.path is not None:
            answers = http_check(self.path, port=self.port, within=self.within)
            found = answers.judge(target)
        else:
            found = asked.judge(target)
        return judged(self.name, found.status, found.verdict.evidence)

    def _begins(self, root: Path) -> Judgement:
        try:
            how = next(_beginnings(root, self.service), None)
        except (OSError, OutOfReach) as exc:
            return undecided(self.name, getattr(exc, "strerror", None) or str(exc))
        evidence = f"begins by {how}" if how else "nothing begins it at boot"
        agrees = (how is not None) is self.is_enabled
        return (passed if agrees else failed)(self.name, evidence)


def _beginnings(root: Path, service: str) -> Iterator[PurePosixPath]:
    """Yield what makes a service begin: a script of ours, or a link to its unit."""
    script = find(root, SCRIPTS / service)
    if script and stat.S_ISREG(script.status.st_mode):
        yield script.name
    unit = service if PurePosixPath(service).suffix else f"{service}.service"
    if _is_masked(root, unit):
        return
    for directory in _UNITS:
        if place := find(root, directory):
            yield from _links(place.path, place.name, unit)


def _links(path: Path, name: PurePosixPath, unit: str) -> Iterator[PurePosixPath]:
    for entry in sorted(path.iterdir()):
        if _WANTED.fullmatch(entry.name) and entry.is_dir() and not entry.is_symlink():
            link = entry / unit
            if link.is_symlink() or link.exists():
                yield name / entry.name / unit


def _is_masked(root: Path, unit: str) -> bool:
    found = find(root, _UNITS[0] / unit, follow=False)
    return found is not None and (
        stat.S_ISLNK(found.status.st_mode) and str(found.path.readlink()) == "/dev/null"
    )


def service(
    name: str,
    *,
    enabled: bool = True,
    port: int | None = None,
    path: str | None = None,
    within: timedelta | str = "30s",
) -> Service:
    """Return a check that a service begins at boot and, if asked, that it answers.

    A service begins by a script of a recipe's ``service`` layer, or by a systemd unit that
    a target or another unit wants and that is not masked.

    Args:
        name: of the layer, or of the unit; ``.service`` is meant where nothing is said.
        enabled: False where it must not begin.
        port: where it must accept connections in the booted instance.
        path: what it must answer there over HTTP, with status 200.
        within: how long an instance that is still starting is asked again.

    Raises:
        InvalidInput: an argument that can never work.
    """
    return Service(
        service=name, is_enabled=enabled, port=port, path=path, within=within
    )
