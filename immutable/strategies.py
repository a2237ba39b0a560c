"""How traffic moves: strategies are data, and the algorithm reads them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Protocol

import attrs

from immutable.durations import duration
from immutable.errors import InvalidInput
from immutable.model import WHOLE
from immutable.protocols import Validator


@attrs.frozen(kw_only=True)
class Stage:
    """A weight given to the new fleet, and how long it is watched before the next one."""

    weight: int
    hold: timedelta


class Strategy(Protocol):
    """What the algorithm reads; anything with these three is a strategy."""

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Return the stages in order; the last gives the new fleet everything."""
        ...

    @property
    def keep_warm(self) -> timedelta:
        """Return how long the old fleet is kept for a quick rollback."""
        ...

    @property
    def judge(self) -> Validator | None:
        """Return a validator that also judges the new fleet on live traffic."""
        ...


def _steps(value: Sequence[int]) -> tuple[int, ...]:
    return tuple(value)


@attrs.frozen(kw_only=True)
class BlueGreen:
    """Move all traffic in one atomic step, then watch it for ``bake``.

    Args:
        bake: how long the new release is provisional; validators keep judging it on
            live traffic, and a failure moves everything back.
        keep_warm: how long the old fleet stays for a rollback within milliseconds.
    """

    bake: timedelta = attrs.field(default=timedelta(seconds=10), converter=duration)
    keep_warm: timedelta = attrs.field(default=timedelta(hours=1), converter=duration)

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Return the one stage there is."""
        return (Stage(weight=WHOLE, hold=self.bake),)

    @property
    def judge(self) -> Validator | None:
        """Return None: the service's validators are all there is."""
        return None


@attrs.frozen(kw_only=True)
class Canary:
    """Move traffic by steps, each watched for ``hold``, then bake the whole.

    Args:
        steps: percentages for the new fleet, rising, below 100.
        hold: how long each percentage is watched.
        judge: a validator for live traffic, beside the service's own.
        bake: as in `BlueGreen`, at 100 percent.
        keep_warm: as in `BlueGreen`.
    """

    steps: tuple[int, ...] = attrs.field(default=(5, 25, 50), converter=_steps)
    hold: timedelta = attrs.field(default=timedelta(seconds=30), converter=duration)
    judge: Validator | None = None
    bake: timedelta = attrs.field(default=timedelta(seconds=10), converter=duration)
    keep_warm: timedelta = attrs.field(default=timedelta(hours=1), converter=duration)

    @steps.validator
    def _rising(self, _attribute: object, value: tuple[int, ...]) -> None:
        rising = all(a < b for a, b in zip((0, *value), (*value, WHOLE), strict=True))
        if not value or not rising or not all(isinstance(step, int) for step in value):
            raise InvalidInput(
                f"canary steps {value!r} do not rise from 1 to 99",
                hint="try [5, 25, 50]",
            )

    @property
    def stages(self) -> tuple[Stage, ...]:
        """Return a stage for each step and one for the whole."""
        held = tuple(Stage(weight=step, hold=self.hold) for step in self.steps)
        return (*held, Stage(weight=WHOLE, hold=self.bake))
