"""What can go wrong with one call, and two ways of choosing it: drawn, or by script."""

import enum
from collections.abc import Collection, Mapping
from datetime import timedelta
from fnmatch import fnmatchcase
from typing import Protocol

import attrs

from immutable.durations import duration
from immutable.testing.chances import Chance


class Fault(enum.StrEnum):
    """What goes wrong with one call."""

    REFUSED = "refused"
    """An error before any effect, and repeating would not help."""
    THROTTLED = "throttled"
    """An error before any effect that may be repeated."""
    ERROR_BEFORE = "error_before"
    """The answer is lost, and so was the request: `Ambiguous`, no effect."""
    ERROR_AFTER = "error_after"
    """The answer is lost: `Ambiguous`, the effect has happened."""
    TIMEOUT_AFTER = "timeout_after"
    """As `ERROR_AFTER`, after a long silence."""
    LATE = "late"
    """`Ambiguous` now; the effect lands later, when nobody waits for it any more."""
    STALE = "stale"
    """A reading shows the world as it was a while ago."""
    SLOW = "slow"
    """It succeeds, after a long time."""
    DUPLICATED = "duplicated"
    """It succeeds, and is delivered a second time, late."""


READS = (Fault.REFUSED, Fault.THROTTLED, Fault.TIMEOUT_AFTER, Fault.STALE, Fault.SLOW)
"""What can go wrong with a reading."""
EFFECTS = tuple(fault for fault in Fault if fault is not Fault.STALE)
"""What can go wrong with a call that changes something."""

CHANGES = (
    "fleets.launch",
    "fleets.replace",
    "fleets.resize",
    "fleets.retire",
    "ledger.append",
    "switch.attach",
    "switch.detach",
    "switch.join",
    "switch.write",
)
"""The calls that change something."""
HOLDINGS = ("fleets.freeze", "fleets.thaw")
"""More of them, where the provider heals and scales by itself."""
READINGS = (
    "backend.preflight",
    "fleets.list",
    "fleets.observe",
    "images.find",
    "ledger.last",
    "ledger.read",
    "logs.read",
    "switch.health",
    "switch.preflight",
    "switch.read",
    "switch.sessions",
)
"""The calls that only look."""


class Faults(Protocol):
    """Chooses what goes wrong with each call."""

    def choose(
        self, call: str, *, process: str, possible: tuple[Fault, ...]
    ) -> Fault | None:
        """Return what goes wrong with this call, or None.

        Args:
            call: its name, such as ``switch.write`` or ``ledger.append``.
            process: the name of the process that makes it.
            possible: what can happen to it at all.
        """
        ...


@attrs.frozen
class NoFaults:
    """Everything works."""

    def choose(
        self,
        call: str,  # noqa: ARG002 - nothing depends on it
        *,
        process: str,  # noqa: ARG002 - as above
        possible: tuple[Fault, ...],  # noqa: ARG002 - as above
    ) -> Fault | None:
        """Return None."""
        return None


@attrs.define
class Script:
    """One fault at the calls of one name: at the first, at the first two, at every one.

    Args:
        fault: what goes wrong.
        call: which calls; ``*`` and ``?`` match any text.
        times: at so many of them; None: at every one.
        skip: let so many pass first.
        process: only in this process.
    """

    fault: Fault = attrs.field(converter=Fault)
    call: str
    times: int | None = attrs.field(default=1, kw_only=True)
    skip: int = attrs.field(default=0, kw_only=True)
    process: str | None = attrs.field(default=None, kw_only=True)
    struck: int = attrs.field(default=0, init=False)
    """How often it has struck."""

    def choose(
        self, call: str, *, process: str, possible: tuple[Fault, ...]
    ) -> Fault | None:
        """Return the fault when this is one of the calls."""
        if not fnmatchcase(call, self.call) or self.fault not in possible:
            return None
        if self.process not in {None, process}:
            return None
        if self.skip:
            self.skip -= 1
            return None
        if self.struck == self.times:
            return None
        self.struck += 1
        return self.fault


@attrs.frozen
class Scripts:
    """Several scripts; the first that strikes decides."""

    scripts: tuple[Script, ...]

    def choose(
        self, call: str, *, process: str, possible: tuple[Fault, ...]
    ) -> Fault | None:
        """Return the first fault that one of the scripts asks for."""
        found = (
            script.choose(call, process=process, possible=possible)
            for script in self.scripts
        )
        return next((fault for fault in found if fault is not None), None)


@attrs.define
class Mix:
    """Faults by chance.

    ``rates`` says for each call how likely each kind is, from 0 to 1. Calls that it does
    not name work.
    """

    chance: Chance
    rates: Mapping[str, Mapping[Fault, float]]

    def choose(
        self,
        call: str,
        *,
        process: str,  # noqa: ARG002 - chance makes no difference between them
        possible: tuple[Fault, ...],
    ) -> Fault | None:
        """Draw what goes wrong with this call, if anything."""
        rates = self.rates.get(call)
        if not rates:
            return None
        drawn = self.chance.random()
        for fault in possible:
            drawn -= rates.get(fault, 0.0)
            if drawn < 0:
                return fault
        return None


def draw_mix(chance: Chance, calls: tuple[str, ...]) -> Mix:
    """Draw a mix: which kinds there are at all, and how likely each is at each call.

    Different defects come to light under different mixes, so that drawing the mix finds
    more than any one of them (Groce and others, "Swarm Testing", ISSTA 2012).
    """
    kinds = [fault for fault in Fault if chance.randrange(2)]
    rates = {call: _draw_rates(chance, call, kinds) for call in calls}
    return Mix(chance, {call: found for call, found in rates.items() if found})


_READING = (0.0, 0.01, 0.05, 0.2)
_CHANGING = (0.0, 0.05, 0.1, 0.25, 0.6)
_SELDOM = (0.0, 0.0, 0.0, 0.02)
_LEVELS = {
    "ledger.append": (0.0, 0.0, 0.02, 0.1, 0.25),
    # these fail a call before it has begun, which is soon told
    "backend.preflight": _SELDOM,
    "images.find": _SELDOM,
    "ledger.last": _SELDOM,
    "ledger.read": _SELDOM,
    "switch.preflight": _SELDOM,
}
"""How many calls go wrong altogether; one of these is drawn for each call."""
_WEIGHTS = {
    Fault.ERROR_AFTER: 2.0,
    Fault.LATE: 4.0,
    Fault.DUPLICATED: 2.0,
    Fault.STALE: 4.0,
    Fault.THROTTLED: 0.5,
    Fault.REFUSED: 0.5,
}
"""Kinds that leave doubts behind find more, and are drawn more often."""


def _draw_rates(
    chance: Chance, call: str, kinds: Collection[Fault]
) -> dict[Fault, float]:
    reading = call in READINGS
    level = chance.choice(_LEVELS.get(call, _READING if reading else _CHANGING))
    possible = READS if reading else EFFECTS
    parts = {
        fault: chance.random() * _WEIGHTS.get(fault, 1.0)
        for fault in kinds
        if fault in possible
    }
    total = sum(parts.values())
    if not level or not total:
        return {}
    return {fault: level * part / total for fault, part in parts.items()}


@attrs.frozen(kw_only=True)
class Hazards:
    """What befalls processes by chance, at every crash point that they pass."""

    chance: Chance
    death: float = 0.0
    known: float = 0.5
    """How many of the dead are known to be dead."""
    sending: float = 0.3
    """How many of those who die before a call that changes something still send it."""
    pause: float = 0.0
    longest: timedelta = attrs.field(default=timedelta(minutes=4), converter=duration)
    """How long a pause may be, as a stopped process or a sleeping laptop makes."""
