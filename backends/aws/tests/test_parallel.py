"""Readings beside each other: in order, a few at a time, and never lost."""

import threading
from functools import partial

import pytest

from immutable.errors import NotEnough, Unavailable
from immutable.host import ThisHost, running_on
from immutable_aws.parallel import AT_ONCE, beside


class _Silent(ThisHost):
    """A host on which no call ever comes back."""

    def run(self, calls, *, within):
        return (None,) * len(calls)


def test_answers_come_in_the_order_of_the_calls():
    """Also where there are more than are made at once, or none."""
    calls = [partial(int, number) for number in range(3 * AT_ONCE + 1)]
    assert beside(calls, what="numbers") == tuple(range(3 * AT_ONCE + 1))
    assert beside([], what="nothing") == ()


def test_a_few_are_made_at_once_and_no_more():
    """As many as there are connections: each waits for the others of its turn."""
    gate, most, now, lock = threading.Barrier(AT_ONCE), [0], [0], threading.Lock()

    def call():
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        gate.wait(timeout=30)
        with lock:
            now[0] -= 1

    beside([call] * (2 * AT_ONCE), what="connections")
    assert most == [AT_ONCE]


def test_an_error_is_raised_as_it_is():
    """What one reading fails with, all fail with."""

    def fail():
        raise NotEnough("no room")

    with pytest.raises(NotEnough, match="no room"):
        beside([int, fail, int], what="rooms")


def test_a_call_without_answer_may_be_made_again():
    """A reading has no effect, whatever became of it."""
    with running_on(_Silent()), pytest.raises(Unavailable) as caught:
        beside([int, int], what="the store")
    assert caught.value.retryable
    assert "the store" in str(caught.value)
