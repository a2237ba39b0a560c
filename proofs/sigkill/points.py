"""Crash points: met one after another in every run, and deadly when one is armed.

A point is named by where in the ledger the deployer stands and by the call that it is
about to make, or has just made. The names are the same in every run of the same verb, so
an undisturbed run counts them and a later one can be killed at exactly one of them.
"""

import os
import signal
import threading
from collections import Counter
from typing import Literal

import attrs

from immutable.deploying.steps import Route, name_of
from immutable.ledger.codec import decode
from immutable.ledger.goals import TidyGoal
from immutable.ledger.records import (
    Begun,
    Entry,
    Intended,
    Record,
    Renewed,
    Settled,
    Snapshot,
)

Side = Literal["before", "after"]
SNAPSHOT = "snapshot"
_START = "start"


@attrs.frozen(kw_only=True, order=True)
class Point:
    """One instant at which a deployer can be killed."""

    verb: str
    turn: int
    """How many records this call has written."""
    stage: str
    """The latest of them, in words."""
    call: str
    again: int
    """Which of several equal calls in this stage, from 1."""
    side: Side

    def __str__(self) -> str:
        times = f" #{self.again}" if self.again > 1 else ""
        place = f"{self.verb} {self.turn:02} {self.stage}"
        return f"{place}: {self.side} {self.call}{times}"


def snapshot_points(verb: str) -> tuple[Point, ...]:
    """Return the two points around a snapshot, which is written once in many calls."""
    return tuple(_snapshot_point(verb, side) for side in ("before", "after"))


def _snapshot_point(verb: str, side: Side) -> Point:
    return Point(verb=verb, turn=0, stage="anywhere", call=SNAPSHOT, again=1, side=side)


class Watch:
    """Names each point that this process meets; dies at the one that is armed.

    Args:
        verb: what the process does.
        point: where it is to die.
        meeting: the number of the meeting, from 1, at which it is to die, wherever it
            is; for calls whose points nobody has counted.
    """

    def __init__(
        self, verb: str, *, point: Point | None = None, meeting: int | None = None
    ) -> None:
        self._verb, self._armed, self._meeting = verb, point, meeting
        self._turn, self._stage, self._step = 0, _START, ""
        self._counts: Counter[tuple[str, Side]] = Counter()
        self._lock = threading.Lock()
        self.met: list[Point] = []

    def is_armed_at(self, call: str) -> bool:
        """Return whether the point to die at is one of this call's."""
        return self._armed is not None and self._armed.call == call

    def meet(self, call: str, side: Side) -> None:
        """Be at a point; this does not return where it is the armed one."""
        with self._lock:
            point = self._point(call, side)
            self.met.append(point)
            if point == self._armed or len(self.met) == self._meeting:
                os.kill(os.getpid(), signal.SIGKILL)
                signal.pause()

    def record(self, data: bytes, side: Side) -> None:
        """Be before or after the writing of a record."""
        record = decode(data)
        word = self._word(record)
        self.meet(SNAPSHOT if word == SNAPSHOT else f"append of {word!r}", side)
        counted = not isinstance(record.entry, Snapshot | Renewed)
        if side == "after" and counted:
            with self._lock:
                self._turn, self._stage = self._turn + 1, word
                self._counts.clear()

    def _point(self, call: str, side: Side) -> Point:
        if call == SNAPSHOT:
            return _snapshot_point(self._verb, side)
        self._counts[call, side] += 1
        return Point(
            verb=self._verb,
            turn=self._turn,
            stage=self._stage,
            call=call,
            again=self._counts[call, side],
            side=side,
        )

    def _word(self, record: Record) -> str:
        entry = record.entry
        if isinstance(entry, Intended):
            self._step = _step_word(entry)
        return _entry_word(entry, self._step)


def _entry_word(entry: Entry, step: str) -> str:
    match entry:
        case Begun(goal=TidyGoal()):
            return "retiring begins"
        case Begun():
            return "begin"
        case Intended():
            return f"{step}?"
        case Settled(result=result):
            return f"{step} {result}"
        case _:
            return type(entry).__name__.lower()


def _step_word(entry: Intended) -> str:
    step = entry.step
    is_shift = isinstance(step, Route) and step.stage is not None
    return "shift" if is_shift else name_of(step)
