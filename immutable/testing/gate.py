"""The one way from a simulated process to the simulated world: every call passes here.

On its way a call passes two crash points, takes time, and may go wrong. What it asks for
lands at an instant of its own, whether or not the caller lives to hear of it.
"""

from collections import Counter
from collections.abc import Callable
from typing import TypeVar

from immutable.errors import ImmutableError
from immutable.testing.calls import Landing, Request, Times, error_of, times
from immutable.testing.chances import Chance
from immutable.testing.faults import EFFECTS, READS, Fault, Faults, Hazards, NoFaults
from immutable.testing.host import NoAnswer, wait_for
from immutable.testing.scheduling import Killed, Process, Scheduler, to_us
from immutable.testing.trace import Trace

_T = TypeVar("_T")
_PUNCTUAL_EFFECTS = tuple(f for f in EFFECTS if f not in {Fault.LATE, Fault.DUPLICATED})
_DELIVERED_ONCE = tuple(fault for fault in EFFECTS if fault is not Fault.DUPLICATED)
_FRESH_READS = tuple(fault for fault in READS if fault is not Fault.STALE)


class Gate:
    """Lets calls through, and sees to it that things go wrong on the way."""

    def __init__(self, scheduler: Scheduler, trace: Trace, chance: Chance) -> None:
        self.scheduler = scheduler
        self.trace = trace
        self.faults: Faults = NoFaults()
        self.hazards: Hazards | None = None
        self.staleness_us = 0
        """How old a stale reading may be."""
        self.late_us = 0
        """How late an effect may land; 0: what is given up never lands."""
        self.ledger_late_us = 0
        self.calls: Counter[str] = Counter()
        """How often each call was made."""
        self.struck: Counter[str] = Counter()
        """How often each kind of fault has struck."""
        self.killed = 0
        self.sent: Callable[[Request], None] = lambda _: None
        """Told of every effect that is asked for, before it is sent."""
        self._chance = chance

    def read(self, call: str, *about: object, look: Callable[[int], _T]) -> _T:
        """Pass a reading through.

        Args:
            call: its name.
            about: its parameters.
            look: returns what is to be seen at an instant, now or a while ago.
        """
        self._pass(f"before:{call}")
        request = self._request(call, about)
        ageing = self.staleness_us and not request.is_for_ledger
        fault = self._fault(request, READS if ageing else _FRESH_READS)
        age_us = 0
        if fault is Fault.STALE:
            age_us = int(self._chance.random() * self.staleness_us)
        landing = self._deliver(
            request, lambda _: look(max(self.scheduler.now_us - age_us, 0)), fault
        )
        error = error_of(request, fault, reading=True)
        return self._answer(landing, fault, error, f"after:{call}")

    def effect(
        self,
        call: str,
        *about: object,
        land: Callable[[Request], _T],
        kind: str = "",
        once: bool = False,
    ) -> _T:
        """Pass through what is to change something.

        Args:
            call: its name.
            about: its parameters, as the oracles compare them.
            land: changes the truth, in one instant.
            kind: what kind of record this writes, where it does.
            once: it is never delivered a second time.
        """
        before, after = _points(call, kind)
        self._pass(before)
        request = self._request(call, about)
        late_us = self.ledger_late_us if kind else self.late_us
        possible = EFFECTS if late_us else _PUNCTUAL_EFFECTS
        fault = self._fault(request, _DELIVERED_ONCE if once and late_us else possible)
        self.sent(request)
        landing = self._deliver(request, land, fault, late_us)
        return self._answer(
            landing, fault, error_of(request, fault, reading=False), after
        )

    def _request(self, call: str, about: tuple[object, ...]) -> Request:
        self.calls[call] += 1
        return Request(call, about, self.scheduler.current, self.scheduler.now_us)

    def _fault(self, request: Request, possible: tuple[Fault, ...]) -> Fault | None:
        fault = self.faults.choose(
            request.call, process=request.process.name, possible=possible
        )
        if fault is not None:
            self.struck[fault] += 1
        return fault

    def _deliver(
        self,
        request: Request,
        land: Callable[[Request], _T],
        fault: Fault | None,
        late_us: int = 0,
    ) -> Landing[_T]:
        landing = Landing(request, land, self.scheduler.fail)
        drawn = times(fault, self.scheduler.now_us, late_us, self._chance)
        self._set_out(landing, drawn)
        if drawn.again_us is not None:
            again = Landing(request, land, self.scheduler.fail)
            self.scheduler.at(drawn.again_us, lambda: self._land_late(again))
        try:
            wait_for(self.scheduler, request.process, drawn.answer_us)
        except (Killed, NoAnswer) as exc:
            self._note(request, type(exc).__name__)
            raise
        return landing

    def _set_out(self, landing: Landing[_T], drawn: Times) -> None:
        if drawn.land_us is None:
            return
        if drawn.land_us > drawn.answer_us:
            self.scheduler.at(drawn.land_us, lambda: self._land_late(landing))
        elif self._in_time(landing, drawn.land_us) and self.scheduler.advance(
            drawn.land_us
        ):
            landing.do()
        else:
            self.scheduler.at(drawn.land_us, landing.do)

    def _in_time(self, landing: Landing[_T], land_us: int) -> bool:
        give_up_us = landing.request.process.give_up_us
        return give_up_us is None or land_us <= give_up_us

    def _land_late(self, landing: Landing[_T]) -> None:
        landing.do()
        self._note(landing.request, "late", landing.error or landing.value)

    def _answer(
        self,
        landing: Landing[_T],
        fault: Fault | None,
        error: ImmutableError | None,
        point: str,
    ) -> _T:
        request = landing.request
        self._note(request, fault or "", error or landing.error or landing.value)
        self._pass(point)
        if error is not None:
            raise error
        return landing.outcome()

    def _note(self, request: Request, how: str, result: object = "") -> None:
        what = f"{request.call} <{how}>" if how else request.call
        name = request.process.name
        self.trace.add(self.scheduler.now_us, name, what, request.about, result)

    def _pass(self, point: str) -> None:
        process = self.scheduler.current
        try:
            process.reach(point)
            self._befall(process)
        except Killed:
            self.killed += 1
            self.trace.add(self.scheduler.now_us, process.name, "killed", (point,))
            raise

    def _befall(self, process: Process) -> None:
        hazards = self.hazards
        if hazards is None or process is self.scheduler.main:
            return
        drawn = hazards.chance.random()
        if drawn < hazards.death:
            process.is_known_dead = hazards.chance.random() < hazards.known
            self.scheduler.kill(process)
        if drawn > 1 - hazards.pause:
            pause_us = int(hazards.chance.random() * to_us(hazards.longest))
            self.trace.add(self.scheduler.now_us, process.name, "paused", (pause_us,))
            self.scheduler.wait_until(self.scheduler.now_us + pause_us)


def _points(call: str, kind: str) -> tuple[str, str]:
    if kind:
        return f"before-write:{kind}", f"after-write:{kind}"
    return f"before:{call}", f"after:{call}"
