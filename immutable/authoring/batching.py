"""One provider call for many readers, and no more calls than a provider allows."""

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from datetime import datetime, timedelta
from typing import Generic, TypeVar

import attrs

from immutable import host
from immutable.host import Never

_K = TypeVar("_K")
_V = TypeVar("_V")
_NEVER = Never()


class RateBudget:
    """So many calls a second, shared by everything that holds it.

    A token bucket: calls that were not made are saved up, to a limit.
    """

    def __init__(self, *, per_second: float, burst: int = 1) -> None:
        """Begin with everything saved up.

        Args:
            per_second: calls a second in the long run.
            burst: so many at once after a rest.
        """
        self._gap = timedelta(seconds=1 / per_second)
        self._saved = self._gap * (burst - 1)
        self._due: datetime | None = None
        self._host: host.Host | None = None
        self._lock = threading.Lock()

    def take(self) -> None:
        """Wait for the turn of one call."""
        here = host.current()
        with self._lock:
            if here is not self._host:
                # another host's time says nothing of this one's
                self._host, self._due = here, None
            now = here.now()
            earliest = now - self._saved
            mine = earliest if self._due is None else max(self._due, earliest)
            self._due = mine + self._gap
        if mine > now:
            here.sleep(mine - now, _NEVER)


@attrs.define(eq=False)
class _Batch(Generic[_K, _V]):
    keys: set[_K] = attrs.field(factory=set)
    answer: Future[Mapping[_K, _V]] = attrs.field(factory=Future)


class BatchedReads(Generic[_K, _V]):
    """Answers many readers by one call: while one is under way, the next is filled.

    Nobody gets an answer that was asked for before they came, so that it is as fresh as
    one of their own.
    """

    def __init__(
        self, read: Callable[[frozenset[_K]], Mapping[_K, _V]], budget: RateBudget
    ) -> None:
        """Take what reads many keys at once, and how often it may."""
        self._read = read
        self._budget = budget
        self._next: _Batch[_K, _V] | None = None
        self._lock = threading.Lock()
        self._reading = threading.Lock()

    def get(self, key: _K) -> _V | None:
        """Return what a provider says of one key; None: it says nothing.

        Raises:
            BaseException: what the reading of its batch raised.
        """
        with self._lock:
            leads = self._next is None
            batch = self._next = self._next or _Batch()
            batch.keys.add(key)
        if leads:
            self._lead(batch)
        return batch.answer.result().get(key)

    def _lead(self, batch: _Batch[_K, _V]) -> None:
        with self._reading:
            try:
                self._budget.take()
                answer = self._read(self._close(batch))
            # whoever waits for the answer is told, whatever it was
            except BaseException as exc:  # noqa: BLE001
                self._close(batch)
                batch.answer.set_exception(exc)
            else:
                batch.answer.set_result(answer)

    def _close(self, batch: _Batch[_K, _V]) -> frozenset[_K]:
        """Let nobody join a batch any more, and return what was asked."""
        with self._lock:
            if self._next is batch:
                self._next = None
            return frozenset(batch.keys)
