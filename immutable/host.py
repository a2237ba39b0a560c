"""What the engine takes from the machine it runs on: time, chance, a name, and threads.

Everything that would make two runs differ comes through here, so that a simulation which
brings its own host (`immutable.testing`) repeats exactly.
"""

import contextvars
import random
import signal
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar, runtime_checkable

from immutable import workers
from immutable.ledger import owner
from immutable.urls import Url
from immutable.workers import Answer

_T = TypeVar("_T")


class Stop(Protocol):
    """Asks the engine to stop; `threading.Event` is one."""

    def is_set(self) -> bool:
        """Return whether to stop."""
        ...


class Never:
    """A stop that never comes."""

    def is_set(self) -> bool:
        """Return False."""
        return False


class Host(Protocol):
    """The machine as the engine sees it."""

    @property
    def name(self) -> str:
        """Return who writes: a word that no other process ever has."""
        ...

    def is_dead(self, name: str) -> bool:
        """Return whether a writer is known to be dead; False when it cannot be known."""
        ...

    def now(self) -> datetime:
        """Return the time, aware and in UTC; it never runs backwards."""
        ...

    def sleep(self, pause: timedelta, stop: Stop) -> None:
        """Let time pass; return early when asked to stop."""
        ...

    def chance(self) -> float:
        """Return a number from 0 to below 1."""
        ...

    def unique(self) -> str:
        """Return 32 hexadecimal digits that nobody else has."""
        ...

    def run(
        self, calls: Sequence[Callable[[], _T]], *, within: timedelta
    ) -> tuple[Answer[_T], ...]:
        """Run calls side by side and return one answer each, in their order.

        A call that gives no answer in time is left behind: nobody can stop it.
        """
        ...

    def aside(self, work: Callable[[], _T], on_interrupt: Callable[[], None]) -> _T:
        """Run work to its own end; Ctrl-C meanwhile only calls ``on_interrupt``."""
        ...


@runtime_checkable
class Idles(Protocol):
    """What a host adds whose time passes only because somebody waits for it."""

    def idle(self, pause: timedelta, stop: Stop) -> None:
        """Wait between two looks, with nothing begun; return early when asked to stop."""
        ...


@runtime_checkable
class OwnWorld(Protocol):
    """What a backend adds whose world ends with this process, as that of ``memory://``."""

    @property
    def host(self) -> Host:
        """Return what calls on it run on: its own time, rather than the machine's."""
        ...

    def default_ledger(self) -> Url:
        """Return the ledger to use where the user names none: a file would outlive it."""
        ...


class ThisHost:
    """The machine this process runs on."""

    def __init__(self) -> None:
        self._began = datetime.now(UTC)
        self._mark = time.monotonic()

    @property
    def name(self) -> str:
        """Return host, boot, process number and process start, in one word."""
        return owner.this_process()

    def is_dead(self, name: str) -> bool:
        """Return whether a writer of this host is known to be dead."""
        return owner.is_dead(name)

    def now(self) -> datetime:
        """Return the time this object was made, plus what has passed since."""
        return self._began + timedelta(seconds=time.monotonic() - self._mark)

    def sleep(self, pause: timedelta, stop: Stop) -> None:
        """Sleep, in slices when the stop cannot be waited for."""
        if isinstance(stop, threading.Event):
            stop.wait(pause.total_seconds())
            return
        until = time.monotonic() + pause.total_seconds()
        while not stop.is_set() and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))

    def chance(self) -> float:
        """Return a number from 0 to below 1."""
        return random.random()  # noqa: S311 - it spreads retries, it hides nothing

    def unique(self) -> str:
        """Return 32 hexadecimal digits that nobody else has."""
        return uuid.uuid4().hex

    def run(
        self, calls: Sequence[Callable[[], _T]], *, within: timedelta
    ) -> tuple[Answer[_T], ...]:
        """Run each call in a thread of its own, with the caller's context."""
        deadline = time.monotonic() + within.total_seconds()
        jobs = [workers.begin(call) for call in calls]
        return tuple(job.answer(deadline - time.monotonic()) for job in jobs)

    def aside(self, work: Callable[[], _T], on_interrupt: Callable[[], None]) -> _T:
        """Run work with a handler of its own for the interrupt.

        An exception in the middle of a step, or of waiting for a thread that takes it,
        would leave work behind that nobody can stop.
        """
        before = signal.getsignal(signal.SIGINT)
        here = threading.current_thread() is threading.main_thread()
        if not here or not callable(before):
            return work()
        signal.signal(signal.SIGINT, lambda *_: on_interrupt())
        try:
            return work()
        finally:
            signal.signal(signal.SIGINT, before)


_current: contextvars.ContextVar[Host | None] = contextvars.ContextVar(
    "immutable host", default=None
)


def current() -> Host:
    """Return the host that calls made here and now run on."""
    return _current.get() or ThisHost()


def of(backend: object) -> Host:
    """Return the host that calls on a backend run on.

    That is the one of `running_on`, else the backend's own, else this machine.
    """
    own = backend.host if isinstance(backend, OwnWorld) else None
    return _current.get() or own or ThisHost()


def rest(here: Host, pause: timedelta, stop: Stop) -> None:
    """Let a watcher wait between two looks."""
    if isinstance(here, Idles):
        here.idle(pause, stop)
    else:
        here.sleep(pause, stop)


@contextmanager
def running_on(host: Host) -> Iterator[None]:
    """Let every call made inside run on another host, as simulations do."""
    token = _current.set(host)
    try:
        yield
    finally:
        _current.reset(token)
