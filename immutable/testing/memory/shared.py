"""The parts of a simulated cloud as several threads may use them at the same time."""

from collections.abc import Callable
from typing import TypeVar

from immutable.testing.calls import Request
from immutable.testing.chances import Chance
from immutable.testing.gate import Gate
from immutable.testing.memory.turns import Turns
from immutable.testing.store import SimulatedStore
from immutable.testing.trace import Trace

_T = TypeVar("_T")


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
