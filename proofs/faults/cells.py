"""The matrix: what an undisturbed run calls, and everything that can go wrong with it."""

import attrs

from immutable.testing.faults import Fault, Script

CALLER = "caller"
"""The process that is struck; those that clear up afterwards are not."""
TIMES: tuple[int | None, ...] = (1, 2, None)
POSITIONS = 40
"""Of a call that is made very often, so many places are struck one by one."""


@attrs.frozen(kw_only=True, order=True)
class Cell:
    """One fault, at one call, so many times."""

    call: str
    fault: str
    times: int | None = 1
    """None: at every one."""
    skip: int = 0
    """So many are let pass first."""

    def script(self) -> Script:
        """Return the fault in the form that the simulation takes."""
        return Script(
            Fault(self.fault),
            self.call,
            times=self.times,
            skip=self.skip,
            process=CALLER,
        )

    def __str__(self) -> str:
        """Return it as ``--cell`` takes it."""
        often = "always" if self.times is None else f"{self.times}x"
        return f"{self.call} {self.fault} {often} after {self.skip}"


@attrs.define
class Recorder:
    """Lets everything pass, and notes what could have gone wrong with it."""

    calls: list[tuple[str, tuple[Fault, ...]]] = attrs.field(factory=list)

    def choose(
        self, call: str, *, process: str, possible: tuple[Fault, ...]
    ) -> Fault | None:
        """Note a call of the caller."""
        if process == CALLER:
            self.calls.append((call, possible))
        return None

    def cells(self, *, positions: int = POSITIONS) -> tuple[Cell, ...]:
        """Return the matrix: first, twice, always, and then each place by itself."""
        found = dict.fromkeys(
            Cell(call=call, fault=fault, times=times)
            for call, possible in self.calls
            for fault in possible
            for times in TIMES
        )
        later = (
            Cell(call=call, fault=fault, skip=place)
            for call, place, possible in self._places()
            for fault in possible
            if 0 < place < positions
        )
        return (*found, *later)

    def _places(self) -> list[tuple[str, int, tuple[Fault, ...]]]:
        """Return each call with how often it was made before."""
        names = [call for call, _ in self.calls]
        return [
            (call, names[:index].count(call), possible)
            for index, (call, possible) in enumerate(self.calls)
        ]
