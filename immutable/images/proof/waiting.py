"""Asking an instance that is still starting again, until it says what is wanted."""

from collections.abc import Callable
from datetime import timedelta

from immutable import host
from immutable.images.proof.checking import Judgement
from immutable.judging import VerdictStatus

_PAUSE = timedelta(milliseconds=200)


def insist(
    ask: Callable[[], Judgement],
    *,
    within: timedelta,
    until_it: VerdictStatus = VerdictStatus.PASSED,
) -> Judgement:
    """Return the first judgement of a status, or the last one when time is up."""
    here = host.current()
    until = here.now() + within
    while True:
        judgement = ask()
        if judgement.status is until_it or here.now() >= until:
            return judgement
        here.sleep(_PAUSE, host.Never())
