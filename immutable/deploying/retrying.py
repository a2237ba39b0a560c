"""The only place that retries: errors that a backend declares retryable, and no others."""

from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

from tenacity import (
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    wait_random_exponential,
)

from immutable.clock import Clock, Stop
from immutable.errors import ImmutableError

ATTEMPTS = 5
_T = TypeVar("_T")


def retrying(call: Callable[[], _T], *, clock: Clock, stop: Stop) -> _T:
    """Return what the call returns, repeating it while its error says it may be.

    At most 5 tries with full jitter between 0.1 and 5 seconds; the last error surfaces.
    """
    policy = Retrying(
        retry=retry_if_exception(_is_retryable),
        stop=stop_after_attempt(ATTEMPTS),
        wait=wait_random_exponential(multiplier=0.1, max=5),
        sleep=lambda seconds: clock.sleep(timedelta(seconds=seconds), stop),
        reraise=True,
    )
    return policy(call)


def _is_retryable(error: BaseException) -> bool:
    return isinstance(error, ImmutableError) and error.retryable
