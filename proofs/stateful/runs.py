"""Running the machine so many times, and adding up what ran."""

from collections import Counter
from collections.abc import Iterable
from typing import Self

import attrs
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from proofs.stateful.machine import EVERY, Deployer, ran

ENOUGH = 200
"""In so many examples every rule must have had its turn."""


@attrs.frozen(kw_only=True)
class Tally:
    """How much ran, and what it found."""

    ran: Counter[str]
    violations: tuple[str, ...] = ()

    @classmethod
    def of(cls, tallies: Iterable[Self]) -> Self:
        """Return the sum of several."""
        parts = tuple(tallies)
        total = sum((part.ran for part in parts), Counter[str]())
        found = tuple(said for part in parts for said in part.violations)
        return cls(ran=total, violations=found)

    def shortfall(self, examples: int, steps: int) -> str:
        """Return in words what is wrong: a violation, or less than was asked for."""
        if self.violations:
            return f"{len(self.violations)} violations"
        done, taken = self.ran["examples"], self.ran["steps"]
        # Hypothesis ends some examples early, and never that many
        if done < examples or 2 * taken < examples * steps:
            return f"{done} examples and {taken} steps, of {examples} and {steps} each"
        missing = [name for name in EVERY if not self.ran[name]]
        if missing and examples >= ENOUGH:
            return f"never: {', '.join(missing)}"
        return ""

    def text(self) -> str:
        """Return everything as people read it."""
        rules = sorted((n, w) for w, n in self.ran.items() if w not in _TOTALS)
        lines = [f"{number:8} {what}" for number, what in reversed(rules)]
        head = ", ".join(f"{self.ran[what]} {what}" for what in _TOTALS)
        tail = f"{len(self.violations)} violations"
        return "\n".join([head, *lines, *self.violations, tail])


_TOTALS = ("examples", "steps")


def explore(examples: int, steps: int, first: int, *, shrinking: bool = True) -> Tally:
    """Run the machine; the same seed does the same again.

    Args:
        examples: how many lives of a service.
        steps: the most steps of each.
        first: the seed.
        shrinking: what is found is made as short as it can be, which takes a while.
    """
    ran.clear()
    found: tuple[str, ...] = ()
    try:
        run_state_machine_as_test(
            seed(first)(Deployer), settings=_settings(examples, steps, shrinking)
        )
    except Exception as exc:  # noqa: BLE001 - whatever it is, it is what was looked for
        notes = getattr(exc, "__notes__", ())
        found = ("\n".join([f"seed {first}: {type(exc).__name__}: {exc}", *notes]),)
    return Tally(ran=Counter(ran), violations=found)


def _settings(examples: int, steps: int, shrinking: bool) -> settings:  # noqa: FBT001 - passed on
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink) if shrinking else (Phase.generate,),
        report_multiple_bugs=False,
        database=None,
        deadline=None,
    )
