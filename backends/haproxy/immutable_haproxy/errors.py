"""What went wrong, in the words of `immutable.errors`."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from immutable.errors import (
    Ambiguous,
    BackendError,
    Conflict,
    NotEnough,
    PermissionDenied,
    Taken,
    Unavailable,
    Unsupported,
)
from immutable_haproxy.options import Address

NAME = "haproxy"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM}
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS}
_PRIVILEGED_BELOW = 1024


class Refusal(Exception):
    """HAProxy answered a command with a complaint."""

    def __init__(self, command: str, answer: str) -> None:
        super().__init__(command, answer)
        self.command = command
        self.answer = answer


class Silence(Exception):
    """HAProxy's runtime socket is not there, broke off, or did not answer in time."""


def moved(operation: str, resource: str, what: str) -> Conflict:
    """Return the error of a write that somebody else overtook."""
    return Conflict(
        what,
        hint="read the switch again and decide anew",
        operation=operation,
        resource=resource,
        backend=NAME,
    )


def unknown(operation: str, resource: str, cause: object) -> Ambiguous:
    """Return the error of a write whose end was not seen."""
    return Ambiguous(
        f"HAProxy did not confirm the change: {cause}",
        hint="read the switch to know whether it happened",
        operation=operation,
        resource=resource,
        backend=NAME,
    )


def unreachable(
    resource: str, cause: object, *, log: Path | None = None
) -> Unavailable:
    """Return the error of a HAProxy that cannot be talked to; nothing was changed."""
    return Unavailable(
        f"HAProxy does not answer: {cause}",
        hint=f"see {log}" if log else "try again, or look at its log",
        operation="switch",
        resource=resource,
        backend=NAME,
        retryable=True,
    )


def missing(resource: str) -> Unavailable:
    """Return the error for a machine without HAProxy."""
    return Unavailable(
        "the haproxy program is not installed",
        hint="install it: apt-get install haproxy (2.6 or newer)",
        operation="switch.preflight",
        resource=resource,
        backend=NAME,
    )


def too_old(version: str) -> Unsupported:
    """Return the error for a HAProxy without what the switch builds on."""
    return Unsupported(
        f"HAProxy {version} is too old for map transactions and dynamic servers",
        hint="install 2.6 or newer",
        operation="switch.preflight",
        backend=NAME,
    )


def cannot_listen(address: Address, exc: OSError) -> BackendError:
    """Return the error for an address that cannot be bound."""
    kind: type[BackendError] = Unavailable
    hint = "choose an address of this machine: listen=ADDRESS:PORT"
    if exc.errno == errno.EADDRINUSE:
        kind, hint = (
            Taken,
            "stop what listens there, or choose another: listen=ADDRESS:PORT",
        )
    elif exc.errno in _REFUSED:
        kind, hint = PermissionDenied, _privilege_hint(address)
    return kind(
        f"cannot listen on {address}: {exc.strerror}",
        hint=hint,
        operation="switch.preflight",
        resource=str(address),
        backend=NAME,
    )


def _privilege_hint(address: Address) -> str:
    if address.port >= _PRIVILEGED_BELOW:
        return "choose another address: listen=ADDRESS:PORT"
    return (
        f"ports below {_PRIVILEGED_BELOW} are root's: run as root, or choose a higher"
        " one with listen=ADDRESS:PORT"
    )


@contextmanager
def files_of(directory: Path) -> Iterator[None]:
    """Translate what the operating system says about the switch's files.

    Raises:
        PermissionDenied, NotEnough, Unavailable: with the cause kept.
    """
    try:
        yield
    except OSError as exc:
        kind: type[BackendError] = Unavailable
        hint = "check the directory, or choose one with directory=PATH"
        if exc.errno in _REFUSED:
            kind, hint = PermissionDenied, f"user {os.geteuid()} must own {directory}"
        elif exc.errno in _FULL:
            kind, hint = NotEnough, "make room"
        raise kind(
            f"the switch's files in {directory} cannot be used: {exc}",
            hint=hint,
            operation="switch",
            resource=str(directory),
            backend=NAME,
        ) from exc
