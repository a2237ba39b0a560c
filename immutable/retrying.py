"""The only place that retries: errors that are declared retryable, and no others."""

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt

from immutable.errors import ImmutableError
from immutable.host import Host, Never, Stop

ATTEMPTS = 5
_FIRST_S = 0.1
_CAP_S = 5.0
_NEVER = Never()
_T = TypeVar("_T")


def retrying(
    call: Callable[[], _T],
    *,
    host: Host,
    stop: Stop = _NEVER,
    also: tuple[type[ImmutableError], ...] = (),
) -> _T:
    """Return what the call returns, repeating it while its error says it may be.

    At most 5 tries with full jitter, of 0.2 to 5 seconds at most; the last error surfaces.

    Args:
        call: what to do.
        host: whose time and chance.
        stop: ends the pauses, not the tries.
        also: errors after which this very call may be repeated, retryable or not.
    """

    def may_be_repeated(error: BaseException) -> bool:
        if isinstance(error, also):
            return True
        return isinstance(error, ImmutableError) and error.retryable

    def pause_s(state: RetryCallState) -> float:
        return host.chance() * min(_CAP_S, _FIRST_S * 2.0**state.attempt_number)

    try:
        return call()
    except ImmutableError as exc:
        if not may_be_repeated(exc):
            raise
        host.sleep(timedelta(seconds=host.chance() * _FIRST_S), stop)
    policy = Retrying(
        retry=retry_if_exception(may_be_repeated),
        stop=stop_after_attempt(ATTEMPTS - 1),
        wait=pause_s,
        sleep=lambda seconds: host.sleep(timedelta(seconds=seconds), stop),
        reraise=True,
    )
    return policy(call)
