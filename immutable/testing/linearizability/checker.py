"""The search for an order in which a register gives every answer of a history."""

import math
from bisect import bisect_left
from collections.abc import Hashable, Iterable, Iterator
from typing import Generic, TypeVar

import attrs

from immutable.testing.linearizability.calls import Read
from immutable.testing.linearizability.history import Operation, Step
from immutable.testing.linearizability.verdict import Explained, Unexplained

_C = TypeVar("_C")
_A = TypeVar("_A")
_S = TypeVar("_S", bound=Hashable)


def check(
    history: Iterable[Operation[_C, _A]], *, start: _S, step: Step[_S, _C, _A]
) -> Explained[_C, _A] | Unexplained[_C, _A, _S]:
    """Search for an order in which a register gives every answer of the history.

    Args:
        history: operations in any order. Two that touch in time may be swapped.
        start: what the register was before the first of them.
        step: what it may answer; see `compare_and_set` and `slots`.

    Returns:
        One such order, or the shortest part of the history that has none. The time this
        takes grows with the operations that overlap, not with the history's length.
    """
    whole = tuple(sorted(history, key=lambda operation: operation.called))
    found = _search(whole, start, step)
    if isinstance(found, Explained):
        return found
    times = sorted(_ends(whole))

    # Each beginning of what can be explained can be explained: so bisect.
    def fails(time: float) -> bool:
        return isinstance(_search(_until(whole, time), start, step), Unexplained)

    first = bisect_left(times, x=True, key=fails)
    part = _search(_until(whole, times[first]), start, step)
    return part if isinstance(part, Unexplained) else found


def _ends(history: Iterable[Operation[_C, _A]]) -> Iterator[float]:
    for operation in history:
        if operation.answer is not None and operation.returned is not None:
            yield operation.returned


def _until(
    history: Iterable[Operation[_C, _A]], time: float
) -> tuple[Operation[_C, _A], ...]:
    """Return what could be known of a history at a time, without unanswered readings."""
    return tuple(
        operation
        if _has_returned(operation, time)
        else attrs.evolve(operation, answer=None, returned=None)
        for operation in history
        if operation.called <= time
        if _has_returned(operation, time) or not isinstance(operation.call, Read)
    )


def _has_returned(operation: Operation[_C, _A], time: float) -> bool:
    return operation.returned is not None and operation.returned <= time


def _search(
    history: tuple[Operation[_C, _A], ...], start: _S, step: Step[_S, _C, _A]
) -> Explained[_C, _A] | Unexplained[_C, _A, _S]:
    """Go through the orders, depth first; a set of done operations is a bit mask."""
    moves = _Moves(history, step)
    trail: list[tuple[int, int, _S]] = [(-1, 0, start)]
    untried = [moves.after(0, start)]
    been: set[tuple[int, _S]] = set()
    deepest = trail[:]
    while trail:
        if moves.answered & ~trail[-1][1] == 0:
            return Explained(order=tuple(history[i] for i, _, _ in trail[1:]))
        move = next((m for m in untried[-1] if m[1:] not in been), None)
        if move is None:
            trail.pop()
            untried.pop()
            continue
        been.add(move[1:])
        trail.append(move)
        untried.append(moves.after(*move[1:]))
        if len(trail) > len(deepest):
            deepest = trail[:]
    done = tuple(history[i] for i, _, _ in deepest[1:])
    return Unexplained(prefix=history, explained=done, state=deepest[-1][2])


class _Moves(Generic[_S, _C, _A]):
    """What can come next: by the clock, and by what the register may answer."""

    def __init__(
        self, history: tuple[Operation[_C, _A], ...], step: Step[_S, _C, _A]
    ) -> None:
        self._all = (1 << len(history)) - 1
        self._called = [one.called for one in history]
        self._end = [math.inf if o.returned is None else o.returned for o in history]
        self._rows = [(one.call, one.answer) for one in history]
        self._step = step
        self.answered = sum(
            1 << i for i, (_, a) in enumerate(self._rows) if a is not None
        )

    def after(self, done: int, state: _S) -> Iterator[tuple[int, int, _S]]:
        """Return operation, what is done then, and the state: answered ones first."""
        certain: list[tuple[int, int, _S]] = []
        possible: list[tuple[int, int, _S]] = []
        soonest = math.inf
        for i in self._next(done):
            call, answer = self._rows[i]
            after = self._step(state, call, answer)
            if answer is None:
                soonest = min(soonest, self._end[i])
                if after is not None and after != state:
                    possible.append((i, done | 1 << i, after))
            elif after is not None:
                # What changes nothing may come first in any order: no other is tried,
                # unless an effect with a deadline could then come too late.
                if after == state and self._called[i] <= soonest:
                    return iter([(i, done | 1 << i, after)])
                certain.append((i, done | 1 << i, after))
        return iter(certain + possible)

    def _next(self, done: int) -> Iterator[int]:
        """Return what is not done, and was called before all such had returned."""
        now = self._called[done.bit_length() - 1] if done else -math.inf
        first_end = math.inf
        left = self._all & ~done
        while left:
            i = (left & -left).bit_length() - 1
            left &= left - 1
            if self._called[i] > first_end:
                return
            if self.answered >> i & 1:
                first_end = min(first_end, self._end[i])
            elif self._end[i] < now:
                continue
            yield i
