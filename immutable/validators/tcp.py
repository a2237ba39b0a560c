"""Connect to the fleet over TCP and hang up."""

import time
from datetime import timedelta

import attrs

from immutable.durations import duration
from immutable.errors import InvalidInput
from immutable.judging import Target, Verdict, VerdictStatus


@attrs.frozen(kw_only=True)
class TcpValidator:
    """A connection that must be accepted."""

    timeout: timedelta = attrs.field(converter=duration)

    @timeout.validator
    def _check_timeout(self, _attribute: object, value: timedelta) -> None:
        if not value:
            raise InvalidInput("a timeout of zero", hint='write it as "5s"')

    @property
    def name(self) -> str:
        """Return the name under which it is journalled."""
        return "tcp()"

    def __call__(self, target: Target) -> Verdict:
        """Connect to each address; the first that does not accept decides."""
        deadline = time.monotonic() + self.timeout.total_seconds()
        addresses = _addresses(target)
        for host, port in addresses:
            status, evidence = _knock(host, port, deadline=deadline)
            if status is not VerdictStatus.PASSED:
                return self._verdict(status, f"{host}:{port}: {evidence}")
        if not addresses:
            return self._verdict(VerdictStatus.UNDECIDED, "no address is known")
        return self._verdict(VerdictStatus.PASSED, f"{len(addresses)} accepted")

    def _verdict(self, status: VerdictStatus, evidence: str) -> Verdict:
        return Verdict(status=status, evidence=evidence, validator=self.name)


def _addresses(target: Target) -> list[tuple[str, int]]:
    if not target.endpoint.headers:
        return [(target.endpoint.host, target.endpoint.port)]
    # A bare connection cannot send the headers that choose the route: at the endpoint
    # it would judge whatever is live now.
    hosts = [(i.address, i.port or target.port) for i in target.instances]
    known = [(host, port) for host, port in hosts if host]
    return known if len(known) == len(hosts) else []


def _knock(host: str, port: int, *, deadline: float) -> tuple[VerdictStatus, str]:
    from immutable.validators.connection import Unacceptable, connect

    try:
        connect(host, port, deadline=deadline).close()
    except (ConnectionRefusedError, Unacceptable) as exc:
        return VerdictStatus.FAILED, str(exc)
    except OSError as exc:
        return VerdictStatus.UNDECIDED, str(exc)
    return VerdictStatus.PASSED, ""


def tcp(*, timeout: timedelta | str = "5s") -> TcpValidator:
    """Return a validator that connects to the fleet's route.

    Where headers choose the route, it connects to each instance instead. Behind a
    switch that speaks HTTP itself, an accepted connection says little: prefer `http`
    there. A refused connection fails; no answer is undecided.

    Args:
        timeout: for all connections together.

    Raises:
        InvalidInput: the timeout is no duration, or zero.
    """
    return TcpValidator(timeout=timeout)
