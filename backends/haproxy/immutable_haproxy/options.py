"""Readers for the options of a URL: text in, a checked value out."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Literal, TypeVar

import attrs

from immutable.durations import duration
from immutable.errors import InvalidInput

T = TypeVar("T")
D = TypeVar("D")
_MAX_PORT = 65535
_SHORTEST = timedelta(milliseconds=10)
_LONGEST = timedelta(days=1)


@attrs.frozen(kw_only=True)
class Address:
    """An address to listen on: a literal IP address and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def require_option(
    options: Mapping[str, str], name: str, reader: Callable[[str], T]
) -> T:
    """Return an option's value.

    Raises:
        InvalidInput: it is not given, or refused by the reader; the message names it.
    """
    try:
        return reader(options.get(name, ""))
    except InvalidInput as exc:
        raise InvalidInput(f"option {name}: {exc.message}", hint=exc.hint) from exc


def read_option(
    options: Mapping[str, str], name: str, reader: Callable[[str], T], default: D
) -> T | D:
    """Return an option's value, or the default when it is not given.

    Raises:
        InvalidInput: the reader refuses the text; the message names the option.
    """
    return require_option(options, name, reader) if name in options else default


def as_ip(text: str) -> str:
    """Return a literal IP address in its shortest form.

    Raises:
        InvalidInput: it is a name, or nothing like an address. Names are not resolved:
            what they mean may change under a running switch.
    """
    hint = "give a literal IPv4 or IPv6 address, without a zone"
    try:
        address = ipaddress.ip_address(text)
    except ValueError as exc:
        raise InvalidInput(f"{text!r} is no IP address", hint=hint) from exc
    if "%" in text:
        raise InvalidInput(f"{text!r} has a zone", hint=hint)
    return str(address)


def as_port(port: int) -> int:
    """Return a port that can be connected to.

    Raises:
        InvalidInput: it is not from 1 to 65535.
    """
    if not 0 < port <= _MAX_PORT:
        raise InvalidInput(f"port {port} is not from 1 to {_MAX_PORT}")
    return port


def as_address(text: str) -> Address:
    """Read ``ADDRESS:PORT`` or ``[ADDRESS]:PORT``; ``localhost`` is 127.0.0.1."""
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port):
        raise InvalidInput(f"{text!r} is no address", hint="write it as ADDRESS:PORT")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    literal = "127.0.0.1" if bare == "localhost" else bare
    return Address(host=as_ip(literal), port=as_port(int(port)))


def as_directory(text: str) -> Path:
    """Read an absolute path."""
    path = Path(text)
    if not path.is_absolute() or "\0" in text or ".." in path.parts:
        raise InvalidInput(f"{text!r} is no absolute path", hint="write it from / down")
    return path


def as_switch(text: str) -> bool:
    """Read ``on`` or ``off``."""
    if text not in {"on", "off"}:
        raise InvalidInput(f"{text!r} is neither on nor off")
    return text == "on"


def as_mode(text: str) -> Literal["http", "tcp"]:
    """Read ``http`` or ``tcp``."""
    if text == "http":
        return "http"
    if text == "tcp":
        return "tcp"
    raise InvalidInput(f"{text!r} is no mode", hint="use http or tcp")


def whole(low: int, high: int) -> Callable[[str], int]:
    """Return a reader of whole numbers from ``low`` to ``high``."""

    def read(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,9}", text) or not low <= int(text) <= high:
            raise InvalidInput(f"{text!r} is no whole number from {low} to {high}")
        return int(text)

    return read


def as_wait(text: str) -> timedelta:
    """Read a time from ten milliseconds to a day."""
    value = duration(text)
    if not _SHORTEST <= value <= _LONGEST:
        raise InvalidInput(f"{text!r} is out of bounds", hint="give 10ms to 1d")
    return value
