"""Threads that make calls for others, in a process that has forked."""

import os
import signal

import pytest

from immutable import workers
from immutable.workers import Returned


@pytest.mark.timeout(30)
def test_a_forked_child_has_workers_of_its_own() -> None:
    """Those of its parent are idle there and do not exist in the child."""
    assert workers.begin(lambda: 1).answer(5) == Returned(1)
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        answered = workers.begin(lambda: 2).answer(5) == Returned(2)
        os._exit(0 if answered else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert workers.begin(lambda: 3).answer(5) == Returned(3)
