"""Pauses that are a tenth, where calls fail again and again: nothing else is quicker."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from unittest import mock

from immutable.host import Stop, ThisHost, running_on

_FACTOR = 10


class Hurried(ThisHost):
    """This machine, where pauses are a tenth."""

    def sleep(self, pause: timedelta, stop: Stop) -> None:
        """Sleep for a tenth of the time."""
        super().sleep(pause / _FACTOR, stop)


@contextmanager
def hurried(*, is_hurried: bool = True) -> Iterator[None]:
    """Let the engine and the SDK wait a tenth of the time before they try again."""
    if not is_hurried:
        yield
        return
    clock = SimpleNamespace(sleep=lambda seconds: time.sleep(seconds / _FACTOR))
    with mock.patch("botocore.endpoint.time", clock), running_on(Hurried()):
        yield
