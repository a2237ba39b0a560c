"""From addresses to parts: installed distributions are found by entry point, on first use."""

import shlex
from collections.abc import Callable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path, PurePath
from typing import cast

from immutable.entry_points import OpenBackend, OpenLedger, OpenSwitch
from immutable.errors import InvalidInput, UnknownScheme, Unsupported
from immutable.host import OwnWorld
from immutable.model import ServiceName
from immutable.protocols import PROTOCOL_VERSION, Backend, LedgerStore, Switch
from immutable.shapes import check_backend, check_ledger, check_switch
from immutable.urls import Url

BACKENDS = "immutable.backends"
SWITCHES = "immutable.switches"
LEDGERS = "immutable.ledgers"
_OURS = frozenset({"libvirt", "process", "haproxy", "aws", "gcp", "azure", "libcloud"})


def open_backend(address: str | Backend) -> Backend:
    """Return the backend at an address, or the object itself.

    Raises:
        UnknownScheme: nothing installed answers to it; says what to install.
        Unsupported: it was written for another version of the protocols.
    """
    if not isinstance(address, str):
        return _compatible(address)
    url = Url.parse(address)
    return _compatible(cast("OpenBackend", _load(BACKENDS, url.scheme))(url))


def open_switch(
    address: str | Switch | None, backend: Backend, service: ServiceName, *, port: int
) -> Switch:
    """Return the switch at an address, the object itself, or the backend's own.

    Raises:
        UnknownScheme: nothing installed answers to it; says what to install.
        Unsupported: it is no switch; says what is missing.
    """
    if address is not None and not isinstance(address, str):
        check_switch(address)
        return address
    url = (
        backend.default_switch(service, port=port)
        if address is None
        else Url.parse(address)
    )
    opened = cast("OpenSwitch", _load(SWITCHES, url.scheme))(
        url, service=service, port=port
    )
    check_switch(opened)
    return opened


def open_ledger(
    address: str | LedgerStore | None,
    service: ServiceName,
    backend: Backend | None = None,
) -> LedgerStore:
    """Return the ledger store at an address, or the object itself.

    Without an address it is the backend's own, where that lives in a world of its own,
    and else a file of the user's.

    Raises:
        UnknownScheme: nothing installed answers to it; says what to install.
        Unsupported: it is no ledger store; says what is missing.
    """
    if address is not None and not isinstance(address, str):
        _check_no_path(address)
        check_ledger(address)
        return address
    url = _default_ledger(service, backend) if address is None else Url.parse(address)
    opened = cast("OpenLedger", _load(LEDGERS, url.scheme))(url, service=service)
    check_ledger(opened)
    return opened


def _check_no_path(value: object) -> None:
    if isinstance(value, PurePath):
        hint = f"write it as sqlite:///{Path(value).absolute()}"
        raise InvalidInput(f"a ledger has an address, and {value!r} is none", hint=hint)


def _default_ledger(service: ServiceName, backend: object) -> Url:
    if isinstance(backend, OwnWorld):
        return backend.default_ledger()
    # imported on first use: sqlite3 is not needed to describe a service
    from immutable.ledger.sqlite import default_ledger_path

    return Url.parse(f"sqlite:///{default_ledger_path(service)}")


def _compatible(backend: Backend) -> Backend:
    version = getattr(backend, "protocol_version", None)
    if version is None:
        raise InvalidInput(
            f"{backend!r} is no backend",
            hint="give a URL, or an object as in immutable.protocols",
        )
    if version != PROTOCOL_VERSION:
        raise Unsupported(
            f"backend {backend.name} speaks protocol {version}, this core {PROTOCOL_VERSION}",
            hint="install matching versions of immutable-deploy and its backends",
        )
    check_backend(backend)
    return backend


@cache
def _load(group: str, scheme: str) -> Callable[..., object]:
    """Return what a scheme names. What is missing is looked for again at the next call."""
    found = [point for point in entry_points(group=group) if point.name == scheme]
    if not found:
        raise _unknown(group, scheme)
    if len({point.value for point in found}) > 1:
        names = ", ".join(sorted(_origin(point) for point in found))
        raise UnknownScheme(
            f"several distributions answer to {scheme}://: {names}",
            hint="uninstall all but one",
        )
    return cast("Callable[..., object]", found[0].load())


def _origin(point: EntryPoint) -> str:
    return point.dist.name if point.dist else point.value


def _unknown(group: str, scheme: str) -> UnknownScheme:
    installed = sorted({f"{point.name}://" for point in entry_points(group=group)})
    known = ", ".join(installed) or "none"
    message = f"nothing installed answers to {scheme}://; installed: {known}"
    if scheme in _OURS:
        command = shlex.join(["pip", "install", f"immutable-deploy[{scheme}]"])
        return UnknownScheme(message, hint=f"run: {command}")
    return UnknownScheme(
        message, hint="check the spelling, or install the backend's distribution"
    )
