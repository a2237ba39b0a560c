"""The one way from a simulated process to the simulated world: every call passes here.

On its way a call passes two crash points, takes time, and may go wrong. What it asks for
lands at an instant of its own, whether or not the caller lives to hear of it.
"""

import functools
from collections import Counter
from collections.abc import Callable
from typing import NoReturn, TypeVar

from immutable.testing.calls import LEDGER, Landing, Request, Times, error_of, times
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
        self.stirred: Callable[[], None] = lambda: None
        """Told that time passes, at every call."""
        self._chance = chance

    def read(self, call: str, *about: object, look: Callable[[int], _T]) -> _T:
        """Pass a reading through.

        Args:
            call: its name.
            about: its parameters.
            look: returns what is to be seen at an instant, now or a while ago.
        """
        before, after = _points(call, "")
        self._pass(before)
        ageing = self.staleness_us and not call.startswith(LEDGER)
        fault = self._fault(call, READS if ageing else _FRESH_READS)
        request = self._request(call, about)
        age_us = 0
        if fault is Fault.STALE:
            age_us = int(self._chance.random() * self.staleness_us)
        landing = Landing(
            request,
            lambda _: look(max(self.scheduler.now_us - age_us, 0)),
            self.scheduler.fail,
        )
        self._deliver(landing, fault)
        return self._answer(landing, fault, after, reading=True)

    def effect(
        self,
        call: str,
        *about: object,
        land: Callable[[Request], _T],
        kind: str = "",
        once: bool = False,
        compare: Callable[[], None] = lambda: None,
    ) -> _T:
        """Pass through what is to change something.

        Args:
            call: its name.
            about: its parameters, as the oracles compare them.
            land: changes the truth, in one instant.
            kind: what kind of record this writes, where it does.
            once: it is never delivered a second time.
            compare: what the caller looks at in the instant before it sends.
        """
        before, after = _points(call, kind)
        asked_us = self.scheduler.now_us
        late_us = self.ledger_late_us if kind else self.late_us
        doomed = self._pass(before, sending=late_us > 0)
        possible = EFFECTS if late_us else _PUNCTUAL_EFFECTS
        fault = self._fault(call, _DELIVERED_ONCE if once and late_us else possible)
        request = self._request(call, about)
        request.slept_us = request.sent_us - asked_us
        compare()
        self.sent(request)
        landing = Landing(request, land, self.scheduler.fail)
        self._deliver(landing, fault, late_us, doomed=doomed)
        return self._answer(landing, fault, after, reading=False)

    def _request(self, call: str, about: tuple[object, ...]) -> Request:
        self.calls[call] += 1
        self.stirred()
        return Request(call, about, self.scheduler.current, self.scheduler.now_us)

    def _fault(self, call: str, possible: tuple[Fault, ...]) -> Fault | None:
        name = self.scheduler.current.name
        fault = self.faults.choose(call, process=name, possible=possible)
        if fault is not None:
            self.struck[fault] += 1
        return fault

    def _deliver(
        self,
        landing: Landing[_T],
        fault: Fault | None,
        late_us: int = 0,
        *,
        doomed: bool = False,
    ) -> None:
        request, now_us = landing.request, self.scheduler.now_us
        drawn = times(fault, now_us, late_us, self._chance)
        self._set_out(landing, drawn, doomed=doomed)
        if doomed:
            self._note(request, "sent, and died")
            self._die(request.process, request.call)
        try:
            wait_for(self.scheduler, request.process, drawn.answer_us)
        except (Killed, NoAnswer) as exc:
            self._note(request, type(exc).__name__)
            raise

    def _set_out(self, landing: Landing[_T], drawn: Times, *, doomed: bool) -> None:
        land_us, answer_us, again_us = drawn
        if again_us is not None:
            again = landing.copy()
            self.scheduler.at(again_us, lambda: self._land_late(again))
        if land_us is None:
            return
        give_up_us = landing.request.process.give_up_us
        waited = not doomed and (give_up_us is None or land_us <= give_up_us)
        if land_us > answer_us or doomed:
            self.scheduler.at(land_us, lambda: self._land_late(landing))
        elif waited and self.scheduler.advance(land_us):
            landing.do()
        else:
            self.scheduler.at(land_us, landing.do)

    def _land_late(self, landing: Landing[_T]) -> None:
        landing.do()
        self._note(landing.request, "late", landing.error or landing.value)

    def _answer(
        self, landing: Landing[_T], fault: Fault | None, point: str, *, reading: bool
    ) -> _T:
        request, error = landing.request, landing.error
        if fault is not None:
            error = error_of(request.call, fault, reading=reading) or error
        self._note(request, fault or "", error or landing.value)
        self._pass(point)
        if error is not None:
            raise error
        return landing.outcome()

    def _note(self, request: Request, how: str, result: object = "") -> None:
        what = f"{request.call} <{how}>" if how else request.call
        self.trace.add(
            self.scheduler.now_us, request.process.name, what, request.about, result
        )

    def _pass(self, point: str, *, sending: bool = False) -> bool:
        """Pass a crash point; return whether to die when the request is on its way."""
        process = self.scheduler.current
        try:
            process.reach(point)
        except Killed:
            self._note_death(process, point)
            raise
        hazards = self.hazards
        if hazards is None or process is self.scheduler.main:
            return False
        drawn = hazards.chance.random()
        if hazards.death <= drawn <= 1 - hazards.pause:
            return False
        return self._befall(process, point, hazards, drawn, sending=sending)

    def _befall(
        self,
        process: Process,
        point: str,
        hazards: Hazards,
        drawn: float,
        *,
        sending: bool,
    ) -> bool:
        if drawn < hazards.death:
            process.is_known_dead = hazards.chance.random() < hazards.known
            if sending and hazards.chance.random() < hazards.sending:
                return True
            self._die(process, point)
        if drawn > 1 - hazards.pause:
            pause_us = int(hazards.chance.random() * to_us(hazards.longest))
            self.trace.add(self.scheduler.now_us, process.name, "paused", (pause_us,))
            self.scheduler.wait_until(self.scheduler.now_us + pause_us)
        return False

    def _die(self, process: Process, point: str) -> NoReturn:
        self._note_death(process, point)
        process.is_killed = True
        raise Killed(point)

    def _note_death(self, process: Process, point: str) -> None:
        self.killed += 1
        self.trace.add(self.scheduler.now_us, process.name, "killed", (point,))


@functools.cache
def _points(call: str, kind: str) -> tuple[str, str]:
    if kind:
        return f"before-write:{kind}", f"after-write:{kind}"
    return f"before:{call}", f"after:{call}"
