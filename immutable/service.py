"""The named thing that is deployed: one traffic slot, one history. A value, no I/O."""

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, cast

import attrs

from immutable.durations import duration
from immutable.errors import InvalidInput
from immutable.model import HealthCheck, ServiceName
from immutable.names import check_service_name
from immutable.protocols import Backend, LedgerStore, Switch, Validator
from immutable.strategies import BlueGreen, Strategy

if TYPE_CHECKING:
    from immutable.images.signing import Policy

MAX_SIZE = 10_000
"""A fleet beyond this is a typing error, and an expensive one."""
_MAX_PORT = 65535


def check_size(size: object) -> int:
    """Return a fleet size that can be meant.

    Raises:
        InvalidInput: it is not a whole number from 1 to 10000.
    """
    if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= MAX_SIZE:
        raise InvalidInput(
            f"size {size!r} cannot be meant", hint=f"give 1 to {MAX_SIZE} instances"
        )
    return size


def _name(value: str) -> ServiceName:
    return check_service_name(value)


def _ports(value: int | Iterable[int]) -> tuple[int, ...]:
    ports = (value,) if isinstance(value, int) else tuple(value)
    if not ports or not all(map(_is_port, ports)):
        raise InvalidInput(
            f"ports {value!r} cannot be served",
            hint=f"give numbers from 1 to {_MAX_PORT}",
        )
    return ports


def _is_port(value: object) -> bool:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return whole and 1 <= int(str(value)) <= _MAX_PORT


def check_validators(value: Iterable[Validator]) -> tuple[Validator, ...]:
    """Return validators as a tuple; a single one may be given bare.

    Raises:
        InvalidInput: one of them cannot be called.
    """
    given: tuple[object, ...] = (value,) if callable(value) else tuple(value)
    for validator in given:
        if not callable(validator):
            raise InvalidInput(
                f"validator {validator!r} cannot be called",
                hint="give functions of a Target",
            )
    return cast("tuple[Validator, ...]", given)


def _path(value: str | None) -> str | None:
    printable = value is None or (
        value.isascii() and value.isprintable() and " " not in value
    )
    if value is not None and not (value.startswith("/") and printable):
        raise InvalidInput(
            f"health path {value!r} is no HTTP path", hint='begin it with "/"'
        )
    return value


def _policy(value: object) -> "Policy | None":
    if value is None:
        return None
    # imported on first use: most services demand no signature
    from immutable.images.signing import Policy

    if not isinstance(value, Policy):
        hint = "give what attest() returned, or Policy(identity=…)"
        raise InvalidInput(f"signed_by {value!r:.80} is no policy", hint=hint)
    return value


@attrs.frozen
class Service:
    """Describe a service. Making one does no I/O; wrong values raise `InvalidInput`.

    Args:
        name: 2 to 20 of ``[a-z0-9-]``; names the history and every resource.
        backend: where fleets run: a URL such as ``"libvirt:///system"``, or an object.
        size: initial number of instances, and the floor of every deploy.
        ports: what the instances listen on; the switch routes to the first.
        health: HTTP path that answers 2xx or 3xx when an instance is ready. Without it
            a TCP connection to the port is enough.
        switch: what moves the traffic; the backend's own when not given.
        ledger: where history is kept; the user's state directory when not given.
        validators: judge a fleet before it gets traffic, and again while it bakes.
        strategy: how traffic moves.
        ready_timeout: for all instances to become ready as the switch sees them.
        validate_timeout: for the validators to reach a verdict on the preview route.
        validator_timeout: for a single call of one validator.
        drain: for requests in progress when a fleet loses its traffic.
        proven: launch only images whose proof has passed: see `immutable.prove`.
        signed_by: launch only images whose provenance exactly this signer has signed:
            see `immutable.attest`.
    """

    name: ServiceName = attrs.field(converter=_name)
    backend: str | Backend = attrs.field(kw_only=True)
    size: int = attrs.field(default=1, kw_only=True, converter=check_size)
    ports: tuple[int, ...] = attrs.field(kw_only=True, converter=_ports)
    health: str | None = attrs.field(default=None, kw_only=True, converter=_path)
    switch: str | Switch | None = attrs.field(default=None, kw_only=True)
    ledger: str | LedgerStore | None = attrs.field(default=None, kw_only=True)
    validators: tuple[Validator, ...] = attrs.field(
        default=(), kw_only=True, converter=check_validators
    )
    strategy: Strategy = attrs.field(factory=BlueGreen, kw_only=True)
    ready_timeout: timedelta = attrs.field(
        default=timedelta(minutes=5), kw_only=True, converter=duration
    )
    validate_timeout: timedelta = attrs.field(
        default=timedelta(minutes=1), kw_only=True, converter=duration
    )
    validator_timeout: timedelta = attrs.field(
        default=timedelta(seconds=10), kw_only=True, converter=duration
    )
    drain: timedelta = attrs.field(
        default=timedelta(seconds=30), kw_only=True, converter=duration
    )
    proven: bool = attrs.field(default=False, kw_only=True)
    signed_by: "Policy | None" = attrs.field(
        default=None, kw_only=True, converter=_policy
    )

    @property
    def port(self) -> int:
        """Return the port that the switch routes to."""
        return self.ports[0]

    @property
    def health_check(self) -> HealthCheck:
        """Return what the switch probes on each instance."""
        return HealthCheck(port=self.port, path=self.health)


def check_services(value: object) -> tuple[Service, ...]:
    """Return several services.

    Raises:
        InvalidInput: it is one alone, or holds something else.
    """
    if isinstance(value, str | Service) or not isinstance(value, Iterable):
        raise InvalidInput(f"{value!r:.80} is no list", hint="give [service, …]")
    return tuple(map(check_service, value))


def check_service(value: object) -> Service:
    """Return a service.

    Raises:
        InvalidInput: it is something else.
    """
    if not isinstance(value, Service):
        hint = 'describe it: immutable.Service("name", backend=…, ports=…)'
        raise InvalidInput(f"{value!r} is no Service", hint=hint)
    return value


@attrs.frozen(kw_only=True)
class Options:
    """What one call was given instead of the service's own settings."""

    configuration: tuple[tuple[str, str], ...] = ()
    size: int | None = None
    strategy: Strategy
    validators: tuple[Validator, ...]
    timeout: timedelta | None = None
    allow_revoked: str | None = None
    """Why a revoked image may be launched all the same."""
