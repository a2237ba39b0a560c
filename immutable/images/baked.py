"""Having a builder do its work: the algorithm of `immutable.baking`, for every backend."""

import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import attrs

from immutable.baking import BOOT, CAPTURE, Bake, Baking, Report, Said, Work
from immutable.durations import spell
from immutable.errors import BuildFailed
from immutable.model import Token

Captured = TypeVar("Captured")
_LAST_WORDS = timedelta(seconds=15)
_LAST_LINES = 15


def bake(
    baking: Baking[Captured],
    order: Bake,
    *,
    token: Token,
    on_output: Callable[[str], None],
    monotonic: Callable[[], float] = time.monotonic,
) -> Captured:
    """Have a builder do its work and return what it made; the builder is gone after it.

    Args:
        baking: the backend's builders.
        order: what to do.
        token: names this attempt.
        on_output: gets each line that the work prints.
        monotonic: the clock that deadlines are measured by.

    Raises:
        BuildFailed: some of the work failed, or was not done in time; the message holds
            the last lines of its output.
    """
    expires_at = datetime.now(UTC) + order.longest
    builder = baking.start(order, token=token, expires_at=expires_at)
    try:
        following = _Following(order=order, on_output=on_output, monotonic=monotonic)
        while following.goes_on:
            following.take(builder.read(wait=following.left()))
        following.check()
        return builder.capture()
    finally:
        builder.destroy()


@attrs.define(kw_only=True)
class _Following:
    """Where a builder has got to, as far as it can be believed."""

    order: Bake
    on_output: Callable[[str], None]
    monotonic: Callable[[], float]
    _stage: str = attrs.field(default="booting the builder", init=False)
    _limit: timedelta = attrs.field(default=BOOT, init=False)
    _since: float = attrs.field(init=False)
    _done: int = attrs.field(default=0, init=False)
    _has_begun: bool = attrs.field(default=False, init=False)
    _is_captured: bool = attrs.field(default=False, init=False)
    _is_on: bool = attrs.field(default=True, init=False)
    _wrong: str = attrs.field(default="", init=False)
    _last: deque[str] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Begin the first stage."""
        self._since = self.monotonic()
        self._last = deque(maxlen=_LAST_LINES)

    @property
    def goes_on(self) -> bool:
        """Return whether there is more to be read from it."""
        return self._is_on and self.left() > timedelta()

    def left(self) -> timedelta:
        """Return how much time the present stage has left."""
        passed = timedelta(seconds=self.monotonic() - self._since)
        return max(self._limit - passed, timedelta())

    def take(self, said: Said) -> None:
        """Pass on what was said, and note what it means."""
        for line in said.lines:
            self._last.append(line)
            self.on_output(line)
        for report in said.reports:
            self._note(report)
        self._is_on = said.is_on

    def check(self) -> None:
        """Check that all was done.

        Raises:
            BuildFailed: it was not; says what went wrong first.
        """
        if self._wrong:
            raise self._failed(self._wrong)
        if self._is_on:
            raise self._failed(f"{self._stage} did not end within {spell(self._limit)}")
        if not self._is_captured:
            raise self._failed(f"the builder ended while {self._stage}")

    def _note(self, report: Report) -> None:
        """Take a report that is next in order; any other one is of no account."""
        if self._wrong:
            return
        if report.event == "failed":
            self._end(f"the builder cannot do its work: {report.reason}")
        elif report.event == "captured" and self._done == len(self.order.works):
            self._is_captured = True
        elif report.work == self._done < len(self.order.works):
            self._note_work(self.order.works[self._done], report)

    def _note_work(self, work: Work, report: Report) -> None:
        if report.event == "begun" and not self._has_begun:
            self._has_begun = True
            self._enter(work.what, work.deadline)
        elif report.event == "ended" and report.status:
            self._end(f"{work.what} failed with status {report.status}")
        elif report.event == "ended" and self._has_begun:
            self._done, self._has_begun = self._done + 1, False
            self._enter("capturing what has changed", CAPTURE)

    def _end(self, wrong: str) -> None:
        """Give it a moment to say its last words."""
        self._wrong = wrong
        self._enter(self._stage, _LAST_WORDS)

    def _enter(self, stage: str, limit: timedelta) -> None:
        self._stage, self._limit, self._since = stage, limit, self.monotonic()

    def _failed(self, message: str) -> BuildFailed:
        said = "\n".join(f"    {line}" for line in self._last)
        return BuildFailed(
            f"{message}; it ended with\n{said}",
            hint="the last lines say why; nothing of it was kept",
            operation="images.build",
        )
