"""Whether an object has a protocol's methods, with signatures that its callers can use.

Python would find out at the call, in the middle of a deployment.
"""

import functools
import inspect
from inspect import Parameter, Signature

from immutable.errors import Unsupported
from immutable.groups import Groups
from immutable.machines import Machines
from immutable.protocols import (
    Backend,
    Fleets,
    Images,
    LedgerStore,
    Logs,
    Switch,
)
from immutable.records import Artefacts, ImageRecords

_KEPT = 1024
_SIDES = (("images", Images), ("fleets", Fleets), ("logs", Logs))


def check_backend(backend: Backend) -> None:
    """Check a backend and its three sides.

    Raises:
        Unsupported: something is missing or has another shape; says both.
    """
    _check(backend, Backend)
    for name, protocol in _SIDES:
        _check(getattr(backend, name), protocol)
    if backend.capabilities.keeps_records:
        _check(backend.images, ImageRecords)
    if backend.capabilities.adopts_artefacts:
        _check(backend.images, Artefacts)
    if backend.capabilities.scales_itself:
        _check(backend.fleets, Groups)


def check_switch(switch: Switch) -> None:
    """Check a switch; raises `Unsupported` as `check_backend` does."""
    _check(switch, Switch)


def check_ledger(store: LedgerStore) -> None:
    """Check a ledger store; raises `Unsupported` as `check_backend` does."""
    _check(store, LedgerStore)


def check_machines(machines: Machines) -> None:
    """Check single servers; raises `Unsupported` as `check_backend` does."""
    _check(machines, Machines)


def problems(part: object, protocol: type) -> tuple[str, ...]:
    """Return what keeps an object from being used as a protocol: a line for each name."""
    found = (_problem(part, protocol, name) for name in _names(protocol))
    return tuple(problem for problem in found if problem)


def _check(part: object, protocol: type) -> None:
    if found := problems(part, protocol):
        raise Unsupported(
            f"{type(part).__name__} is no {protocol.__name__}: {'; '.join(found)}",
            hint="immutable.protocols says what each method takes",
        )


@functools.cache
def _names(protocol: type) -> tuple[str, ...]:
    return tuple(name for name in vars(protocol) if not name.startswith("_"))


def _problem(part: object, protocol: type, name: str) -> str:
    wanted = vars(protocol)[name]
    if not hasattr(part, name):
        return f"it has no {name}"
    if isinstance(wanted, property):
        return ""
    given = getattr(part, name)
    if not callable(given):
        return f"its {name} cannot be called"
    if inspect.ismethod(given):
        # parts are opened at every call, and a class's methods are what they are
        return _of_method(name, wanted, given.__func__)
    return _difference(name, _bare(wanted), _signature(given))


@functools.lru_cache(maxsize=_KEPT)
def _of_method(name: str, wanted: object, given: object) -> str:
    return _difference(name, _bare(wanted), _bare(given))


def _difference(name: str, wanted: Signature, given: Signature) -> str:
    if _takes(given, wanted):
        return ""
    return f"wanted {name}{_spell(wanted)}, found {name}{_spell(given)}"


def _takes(given: Signature, wanted: Signature) -> bool:
    """Return whether a call as the engine makes it reaches the given function."""
    asked = wanted.parameters.values()
    by_place = [p for p in asked if p.kind is not Parameter.KEYWORD_ONLY]
    by_name = {p.name: p for p in asked if p.kind is Parameter.KEYWORD_ONLY}
    try:
        given.bind(*by_place, **by_name)
    except TypeError:
        return False
    return True


def _bare(function: object) -> Signature:
    """Return a method's signature as its callers see it: without self."""
    signature = _signature(function)
    return signature.replace(parameters=list(signature.parameters.values())[1:])


def _signature(function: object) -> Signature:
    return inspect.signature(function)  # type: ignore[arg-type]  # whoever asks has seen that it can be called


def _spell(signature: Signature) -> str:
    bare = [
        p.replace(annotation=Parameter.empty) for p in signature.parameters.values()
    ]
    return str(signature.replace(parameters=bare, return_annotation=Signature.empty))
