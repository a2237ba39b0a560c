"""What libvirt's errors mean in the library's own words.

The one place where a ``libvirtError`` is read. Codes are those of ``virerror.h``:
https://libvirt.org/html/libvirt-virterror.html
"""

from collections.abc import Iterator
from contextlib import contextmanager

import libvirt

from immutable.errors import (
    Ambiguous,
    BackendError,
    NotEnough,
    PermissionDenied,
    Unavailable,
)

BACKEND = "libvirt"

_ABSENT = frozenset(
    {
        libvirt.VIR_ERR_NO_DOMAIN,
        libvirt.VIR_ERR_NO_DOMAIN_METADATA,
        libvirt.VIR_ERR_NO_NETWORK,
    }
)
_DENIED = frozenset(
    {
        libvirt.VIR_ERR_AUTH_CANCELLED,
        libvirt.VIR_ERR_AUTH_FAILED,
        libvirt.VIR_ERR_AUTH_UNAVAILABLE,
        libvirt.VIR_ERR_ACCESS_DENIED,
        libvirt.VIR_ERR_OPERATION_DENIED,
    }
)
_FULL = ("cannot allocate memory", "no space left", "cannot set up guest memory")


def is_absent(error: libvirt.libvirtError) -> bool:
    """Return whether the daemon said that the thing is not there."""
    return error.get_error_code() in _ABSENT


def is_denied(error: libvirt.libvirtError) -> bool:
    """Return whether the daemon, or its socket, refuses this user."""
    text = str(error).lower()
    return error.get_error_code() in _DENIED or "permission denied" in text


def is_disconnected(error: libvirt.libvirtError) -> bool:
    """Return whether the connection broke, so that the call's effect is not known.

    Errors of the transport come from the RPC layer; the daemon's own answers carry the
    domain that raised them.
    """
    return error.get_error_domain() in {libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE}


@contextmanager
def translated(
    operation: str, resource: str, *, changes: bool = False
) -> Iterator[None]:
    """Raise libvirt's errors as the library's own, keeping the cause.

    Args:
        operation: the call, for example ``"fleets.launch"``.
        resource: the name of the thing it is about.
        changes: whether a call whose answer was lost may have had an effect.
    """
    try:
        yield
    except libvirt.libvirtError as exc:
        raise _translate(exc, operation, resource, changes=changes) from exc


def _translate(
    error: libvirt.libvirtError, operation: str, resource: str, *, changes: bool
) -> BackendError:
    kind, hint = _kind(error, changes=changes)
    return kind(
        f"{resource}: {error}",
        hint=hint,
        operation=operation,
        resource=resource,
        backend=BACKEND,
        retryable=kind is Unavailable,
    )


def _kind(
    error: libvirt.libvirtError, *, changes: bool
) -> tuple[type[BackendError], str]:
    if is_disconnected(error):
        lost = Ambiguous if changes else Unavailable
        return lost, "the libvirt daemon went away during the call; try again"
    if is_denied(error):
        return PermissionDenied, "see the daemon's log and the pool's permissions"
    if any(word in str(error).lower() for word in _FULL):
        return NotEnough, "free memory or disk, or run fewer instances"
    return BackendError, ""
