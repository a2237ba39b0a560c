"""The parts of a simulated cloud as several threads may use them at the same time."""

from collections.abc import Callable
from typing import TypeVar

import attrs

from immutable.testing.calls import Request
from immutable.testing.chances import Chance
from immutable.testing.faults import READINGS, Fault, Faults, Mix, Script
from immutable.testing.gate import Gate
from immutable.testing.memory.turns import Turns
from immutable.testing.store import SimulatedStore
from immutable.testing.trace import Trace

_T = TypeVar("_T")
_OFTEN = 0.5


class Untold(Trace):
    """Keeps nothing: a world may live as long as its process."""

    def add(
        self,
        at_us: int,
        process: str,
        what: str,
        about: tuple[object, ...] = (),
        result: object = "",
    ) -> None:
        """Forget the line."""


class SharedGate(Gate):
    """Lets one thread at a time through; while a call is on its way, others pass."""

    def __init__(self, turns: Turns, chance: Chance) -> None:
        super().__init__(turns, Untold(), chance)
        self._turns = turns

    def read(self, call: str, *about: object, look: Callable[[int], _T]) -> _T:
        """Pass a reading through."""
        with self._turns.at_work(), self._turns.lock:
            return super().read(call, *about, look=look)

    def effect(
        self,
        call: str,
        *about: object,
        land: Callable[[Request], _T],
        kind: str = "",
        once: bool = False,
        compare: Callable[[], None] = lambda: None,
    ) -> _T:
        """Pass through what is to change something."""
        with self._turns.at_work(), self._turns.lock:
            return super().effect(
                call, *about, land=land, kind=kind, once=once, compare=compare
            )


class SharedStore(SimulatedStore):
    """A ledger store that does not look into what it keeps."""

    def append(self, stream: str, sequence: int, record: bytes) -> None:
        """Store a record under a number that nobody has used."""
        self._gate.effect(
            "ledger.append",
            stream,
            sequence,
            land=lambda request: self._land(request, stream, sequence, record),
            kind="record",
        )


@attrs.frozen
class Ageing:
    """What was asked for goes wrong; and where readings can be old, many are."""

    scripts: tuple[Script, ...]
    old: Mix

    def choose(
        self, call: str, *, process: str, possible: tuple[Fault, ...]
    ) -> Fault | None:
        """Choose what the first script asks for, or draw whether a reading is old."""
        faults: tuple[Faults, ...] = (*self.scripts, self.old)
        found = (f.choose(call, process=process, possible=possible) for f in faults)
        return next((fault for fault in found if fault is not None), None)


def old_readings(chance: Chance) -> Mix:
    """Return faults by which half of the readings are old, as far as they can be."""
    return Mix(chance, {call: {Fault.STALE: _OFTEN} for call in READINGS})
