"""Ctrl-C is noted, whatever the work is doing, and raised when it has ended."""

import signal
import sys
import types

import pytest

from immutable.deploying.interrupting import Asked, uninterrupted
from immutable.host import ThisHost


@pytest.mark.timeout(20)
def test_an_interrupt_within_an_interrupt_is_noted() -> None:
    """A second Ctrl-C at any call made by the handler of the first waits for nothing."""
    asked, calls = Asked(None), list[str]()

    def again(frame: types.FrameType, event: str, _argument: object) -> None:
        if event == "call" and len(calls) < 50:
            calls.append(frame.f_code.co_name)
            signal.raise_signal(signal.SIGINT)

    def work() -> None:
        sys.setprofile(again)
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            sys.setprofile(None)

    with pytest.raises(KeyboardInterrupt):
        uninterrupted(ThisHost(), work, asked)
    assert "interrupt" in calls
    assert asked.is_set()
