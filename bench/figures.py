"""What a bench yields: a number, and beside it the number that it is judged by."""

import math
import statistics
from collections.abc import Sequence
from typing import Literal

import attrs

Unit = Literal["us", "ms", "s", "count", "mib", "per_s", "percent"]
_PER_SECOND = {"us": 1e6, "ms": 1e3, "s": 1.0}


class CannotMeasure(Exception):
    """A bench cannot run here; the message says why and what would help."""


@attrs.frozen(kw_only=True)
class Target:
    """What a figure has to reach. ``required``: missing it fails the run."""

    limit: float
    on: Literal["value", "ratio"] = "value"
    at_least: bool = False
    required: bool = False

    def is_met(self, value: float, ratio: float | None) -> bool:
        """Return whether the figure reaches it."""
        judged = value if self.on == "value" else ratio
        if judged is None:
            return False
        return judged >= self.limit if self.at_least else judged <= self.limit

    def __str__(self) -> str:
        """Return it as people write it."""
        suffix = "x" if self.on == "ratio" else ""
        return f"{'>=' if self.at_least else '<='} {self.limit:g}{suffix}"


@attrs.frozen(kw_only=True)
class Figure:
    """One number. ``value`` and ``beside_value`` are medians over ``n`` turns.

    ``ratio`` is the median of the turns' own ratios, where they were taken in turns.
    ``low`` and ``high`` are the quartiles of the value.
    """

    name: str
    """Ends with the unit: ``switch.write_ms``."""
    unit: Unit
    value: float
    n: int = 1
    low: float | None = None
    high: float | None = None
    beside: str = ""
    """What the floor or peer is."""
    beside_value: float | None = None
    ratio: float | None = None
    target: Target | None = None

    @property
    def met(self) -> bool | None:
        """Return whether the target is reached, None when there is none."""
        return self.target.is_met(self.value, self.ratio) if self.target else None

    @property
    def is_fatal(self) -> bool:
        """Return whether the run has failed because of this figure."""
        return self.target is not None and self.target.required and not self.met


@attrs.frozen(kw_only=True)
class Unmeasured:
    """A figure, or a whole bench, that could not be measured. Said, never left out."""

    name: str
    why: str
    failed: bool = False
    """It should have worked: the bench itself broke."""


def compared(
    name: str,
    unit: Unit,
    ours: Sequence[float],
    theirs: Sequence[float],
    *,
    beside: str,
    target: Target | None = None,
) -> Figure:
    """Return the median of seconds taken in turns with a floor or peer, beside it."""
    turns = zip(ours, theirs, strict=True)
    ratios = [one / other for one, other in turns if other > 0]
    return attrs.evolve(
        alone(name, unit, ours, target=target),
        beside=beside,
        beside_value=statistics.median(theirs) * _PER_SECOND[unit],
        ratio=statistics.median(ratios) if ratios else math.nan,
    )


def alone(
    name: str, unit: Unit, samples: Sequence[float], *, target: Target | None = None
) -> Figure:
    """Return the median of seconds that have nothing to stand beside."""
    scaled = [sample * _PER_SECOND[unit] for sample in samples]
    several = len(scaled) > 1
    low, _, high = statistics.quantiles(scaled, n=4) if several else (None, 0, None)
    return Figure(
        name=f"{name}_{unit}",
        unit=unit,
        value=statistics.median(scaled),
        n=len(scaled),
        low=low,
        high=high,
        target=target,
    )


def counted(
    name: str, value: float, *, n: int = 1, target: Target | None = None
) -> Figure:
    """Return a plain number of things."""
    return Figure(name=f"{name}_count", unit="count", value=value, n=n, target=target)
