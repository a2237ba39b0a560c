"""What each kind of entry of a goss file means as checks of ours."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from urllib.parse import urlsplit

import attrs

from immutable.errors import InvalidInput
from immutable.images.proof.checking import Check
from immutable.images.proof.commands import command
from immutable.images.proof.files import Kind, file
from immutable.images.proof.gossfiles.attributes import Attributes, refused
from immutable.images.proof.network import http, port
from immutable.images.proof.packages import package
from immutable.images.proof.services import service

_KINDS: Mapping[str, Kind] = {
    "directory": "directory",
    "file": "file",
    "symlink": "link",
}
_ITSELF = frozenset({"localhost", "127.0.0.1", "0.0.0.0", "::1"})  # noqa: S104 - compared, not bound
_NOT_ACTIVE = 3


@attrs.frozen(kw_only=True)
class Settings:
    """What a goss file does not say itself."""

    booted: bool
    within: timedelta


Make = Callable[[str, Attributes], list[Check]]


def resources(settings: Settings) -> dict[str, Make]:
    """Return what makes checks of each kind of entry that is understood."""
    return {
        "package": _package,
        "file": _file,
        "service": lambda name, given: _service(name, given, settings),
        "port": lambda name, given: _port(name, given, settings),
        "command": lambda name, given: _command(name, given, settings),
        "http": lambda name, given: _http(name, given, settings),
    }


def _package(name: str, given: Attributes) -> list[Check]:
    installed = given.take("installed", bool)
    versions = given.words("versions")
    return [package(name, versions, installed=installed is not False)]


def _file(name: str, given: Attributes) -> list[Check]:
    exists = given.take("exists", bool)
    kind = given.take("filetype", str)
    if kind is not None and kind not in _KINDS:
        raise refused(f"file: {name}: filetype {kind}", _KINDS)
    return [
        file(
            name,
            exists=exists is not False,
            kind=None if kind is None else _KINDS[kind],
            mode=given.take("mode", str),
            owner=given.take("owner", str),
            group=given.take("group", str),
            link=given.take("linked-to", str),
            contains=(*given.texts("contains"), *given.texts("contents")),
            sha256=given.take("sha256", str),
        )
    ]


def _service(name: str, given: Attributes, settings: Settings) -> list[Check]:
    enabled, running = given.take("enabled", bool), given.take("running", bool)
    checks: list[Check] = []
    if enabled is not None:
        checks.append(service(name, enabled=enabled, within=settings.within))
    if running is not None:
        argv = ("systemctl", "is-active", name)
        status = 0 if running else _NOT_ACTIVE
        checks.append(command(argv, status=status, booted=True))
    return checks


def _port(name: str, given: Attributes, settings: Settings) -> list[Check]:
    protocol, _, number = name.rpartition(":")
    if protocol not in {"", "tcp"} or not number.isdecimal():
        raise refused(f"port: {name}", ("tcp:NUMBER",))
    is_open = given.take("listening", bool) is not False
    return [port(int(number), open=is_open, within=settings.within)]


def _command(name: str, given: Attributes, settings: Settings) -> list[Check]:
    timeout_ms = given.take("timeout", int)
    return [
        command(
            given.take("exec", str) or name,
            status=given.take("exit-status", int) or 0,
            stdout=given.texts("stdout"),
            stderr=given.texts("stderr"),
            timeout=timedelta(milliseconds=timeout_ms or 10_000),
            booted=settings.booted,
        )
    ]


def _http(name: str, given: Attributes, settings: Settings) -> list[Check]:
    try:
        url = urlsplit(name)
        number = url.port or 80
    except ValueError as exc:
        raise InvalidInput(f"http: {name!r:.80} is no URL", hint="repair it") from exc
    if url.scheme != "http" or url.hostname not in _ITSELF or url.username is not None:
        raise refused(f"http: {name}", ("http://localhost:PORT/PATH",))
    # No redirect is ever followed here; the attribute may say so.
    if given.take("no-follow-redirects", bool) is False:
        raise refused(f"http: {name}: following redirects", ())
    path = f"{url.path or '/'}{url.query and f'?{url.query}'}"
    status = given.take("status", int)
    body = given.texts("body")
    found = http(
        path,
        port=number,
        contains=body,
        status=200 if status is None else status,
        within=settings.within,
    )
    return [found]
