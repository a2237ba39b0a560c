"""Ctrl-C without torn steps: the work runs beside, and an interrupt asks it to stop."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from immutable.clock import Stop

_T = TypeVar("_T")
_TICK_S = 0.2


class Asked:
    """A stop that comes from the caller's own, or from Ctrl-C."""

    def __init__(self, cancel: Stop | None) -> None:
        self._cancel = cancel
        self.interrupted = threading.Event()

    def is_set(self) -> bool:
        """Return whether either has asked."""
        return self.interrupted.is_set() or (
            self._cancel is not None and self._cancel.is_set()
        )


def uninterrupted(work: Callable[[], _T], asked: Asked) -> _T:
    """Run work to its own end; Ctrl-C meanwhile sets ``asked`` and is raised afterwards.

    A second Ctrl-C changes nothing: going back is bounded by deadlines, and a process
    that is killed is what recovery is for.
    """
    if threading.current_thread() is not threading.main_thread():
        return work()
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="immutable") as pool:
        future = pool.submit(work)
        result = _await(future, asked)
    if asked.interrupted.is_set():
        outcome = getattr(result, "outcome", "done")
        raise KeyboardInterrupt(f"stopped safely: {outcome}")
    return result


def _await(future: Future[_T], asked: Asked) -> _T:
    while True:
        try:
            return future.result(timeout=_TICK_S)
        except TimeoutError:
            if future.done():
                return future.result()
        except KeyboardInterrupt:
            asked.interrupted.set()
