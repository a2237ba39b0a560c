"""Writing down what clients call and what they are answered, as it happens."""

import math
import threading
from collections.abc import Callable
from typing import TypeVar

import attrs

from immutable.errors import Ambiguous, Conflict, ImmutableError
from immutable.protocols import Switch
from immutable.testing.linearizability.calls import Answer, Call
from immutable.testing.linearizability.history import Operation
from immutable.testing.linearizability.recorded import RecordedSwitch

_T = TypeVar("_T")


class History:
    """The calls that clients made, as they made them; safe to share between threads.

    Args:
        clock: gives seconds. Ticks that do not differ are set apart a little, in the
            order in which they were asked for.
    """

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock, self._last = clock, -math.inf
        self._lock, self._begun = threading.Lock(), 0
        self._rows: dict[int, Operation[Call, Answer]] = {}
        self._refused: list[Operation[Call, Answer]] = []

    def recording(self, switch: Switch, *, process: str) -> "RecordedSwitch":
        """Return the switch for one client; what it calls is written down here."""
        return RecordedSwitch(switch, process=process, history=self)

    def operations(self) -> tuple[Operation[Call, Answer], ...]:
        """Return all calls so far; those that are under way have no answer."""
        with self._lock:
            return tuple(self._rows.values())

    def refused(self) -> tuple[Operation[Call, Answer], ...]:
        """Return the calls that ended with an error which promises no effect."""
        with self._lock:
            return tuple(self._refused)

    def ask(
        self,
        process: str,
        call: Call,
        act: Callable[[], _T],
        answer: Callable[[_T], Answer],
        *,
        conflict: Answer | None,
    ) -> _T:
        """Make a call and write down when it was made and what came of it.

        A call that ended with any other error than `Conflict` and `Ambiguous` had no
        effect, by contract, and is left out of the history. One that was killed has no
        answer.

        Args:
            process: who calls.
            call: what the call means to the register.
            act: makes it.
            answer: says what its result means.
            conflict: what a `Conflict` means; None where it may have another reason
                than the version, and says nothing.
        """
        key = self._begin(process, call)
        try:
            result = act()
        except Ambiguous:
            raise
        except Conflict:
            self._end(key, conflict)
            raise
        except ImmutableError:
            self._end(key, None)
            raise
        self._end(key, answer(result))
        return result

    def _begin(self, process: str, call: Call) -> int:
        with self._lock:
            self._begun += 1
            key = self._begun
            self._rows[key] = Operation(process=process, call=call, called=self._now())
            return key

    def _end(self, key: int, answer: Answer | None) -> None:
        """Write down an answer; None leaves the call out, for it had no effect."""
        with self._lock:
            asked, now = self._rows.pop(key), self._now()
            done = attrs.evolve(asked, answer=answer, returned=now)
            if answer is None:
                self._refused.append(done)
            else:
                self._rows[key] = done

    def _now(self) -> float:
        self._last = max(self._clock(), math.nextafter(self._last, math.inf))
        return self._last
