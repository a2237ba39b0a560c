"""Threads that wait for others' calls: one that hangs is left behind and replaced.

Daemon threads, so that a call which never returns does not keep the process from ending.
They are kept for a while, because starting one costs more than most calls.
"""

import contextvars
import os
import queue
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import attrs

IDLE_S = 10.0
"""How long a thread without work stays."""
_T = TypeVar("_T")


@attrs.frozen
class Returned(Generic[_T]):
    """A call came back with a value."""

    value: _T


@attrs.frozen
class Raised:
    """A call ended with an error."""

    error: BaseException


Answer = Returned[_T] | Raised | None
"""What became of a call; None: it gave no answer in time, and may yet be at work."""


class Job(Generic[_T]):
    """One call, made with the context of whoever asked for it."""

    def __init__(self, call: Callable[[], _T]) -> None:
        self._call = call
        self._context = contextvars.copy_context()
        self._done = threading.Event()
        self._answer: Answer[_T] = None

    def work(self) -> None:
        """Make the call and keep its answer."""
        try:
            self._answer = Returned(self._context.run(self._call))
        except BaseException as exc:  # noqa: BLE001 - whoever waits is told of it
            self._answer = Raised(exc)
        self._done.set()

    def answer(self, timeout_s: float) -> Answer[_T]:
        """Return the answer, or None when there is none in time."""
        self._done.wait(max(0.0, timeout_s))
        return self._answer


class _Worker:
    def __init__(self) -> None:
        self.jobs: queue.SimpleQueue[Job[object]] = queue.SimpleQueue()
        threading.Thread(target=self._run, name="immutable call", daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                job = self.jobs.get(timeout=IDLE_S)
            except queue.Empty:
                if _leave(self):
                    return
                continue
            job.work()
            del job
            with _lock:
                _idle.append(self)


_lock = threading.Lock()
_idle: list[_Worker] = []


def _forget() -> None:
    """In a forked child there are no threads but one: those that were idle are gone."""
    global _lock  # noqa: PLW0603 - it may have been held by a thread that is gone
    _lock = threading.Lock()
    _idle.clear()


os.register_at_fork(after_in_child=_forget)


def begin(call: Callable[[], _T]) -> Job[_T]:
    """Let another thread make a call, at once."""
    job = Job(call)
    with _lock:
        worker = _idle.pop() if _idle else None
    (worker or _Worker()).jobs.put(job)  # type: ignore[arg-type]  # only its answer is typed
    return job


def _leave(worker: _Worker) -> bool:
    """Return whether a worker may end: nobody has chosen it meanwhile."""
    with _lock:
        if worker not in _idle:
            return False
        _idle.remove(worker)
        return True
