"""Ctrl-C without torn steps: an interrupt asks the work to stop, and is raised afterwards."""

from collections.abc import Callable
from typing import TypeVar

from immutable.host import Host, Stop

_T = TypeVar("_T")


class Asked:
    """A stop that comes from the caller's own, or from Ctrl-C."""

    def __init__(self, cancel: Stop | None) -> None:
        self._cancel = cancel
        self.is_interrupted = False

    def is_set(self) -> bool:
        """Return whether either has asked."""
        return self.is_interrupted or (
            self._cancel is not None and self._cancel.is_set()
        )

    def interrupt(self) -> None:
        """Ask, from a signal handler: without a lock, which a second one would wait for."""
        self.is_interrupted = True


def uninterrupted(here: Host, work: Callable[[], _T], asked: Asked) -> _T:
    """Run work to its own end; Ctrl-C meanwhile sets ``asked`` and is raised afterwards.

    A second Ctrl-C changes nothing: going back is bounded by deadlines, and a process
    that is killed is what recovery is for.
    """
    result = here.aside(work, asked.interrupt)
    if asked.is_interrupted:
        outcome = getattr(result, "outcome", "done")
        raise KeyboardInterrupt(f"stopped safely: {outcome}")
    return result
