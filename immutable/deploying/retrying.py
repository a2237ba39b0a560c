"""The only place that retries: errors that a backend declares retryable, and no others."""

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from tenacity import (
    Retrying,
    retry_if_exception,
    stop_after_attempt,
)

from immutable.errors import ImmutableError
from immutable.host import Host, Stop

ATTEMPTS = 5
_FIRST_S = 0.1
_CAP_S = 5.0
_T = TypeVar("_T")


def retrying(call: Callable[[], _T], *, host: Host, stop: Stop) -> _T:
    """Return what the call returns, repeating it while its error says it may be.

    At most 5 tries with full jitter between 0.1 and 5 seconds; the last error surfaces.
    """
    try:
        return call()
    except ImmutableError as exc:
        if not exc.retryable:
            raise
    policy = Retrying(
        retry=retry_if_exception(_is_retryable),
        stop=stop_after_attempt(ATTEMPTS - 1),
        wait=lambda state: (
            host.chance() * min(_CAP_S, _FIRST_S * 2**state.attempt_number)
        ),
        sleep=lambda seconds: host.sleep(timedelta(seconds=seconds), stop),
        reraise=True,
    )
    return policy(call)


def _is_retryable(error: BaseException) -> bool:
    return isinstance(error, ImmutableError) and error.retryable
