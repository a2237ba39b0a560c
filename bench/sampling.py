"""Taking turns: what is compared is measured in alternation, so that load hits both."""

import contextlib
import gc
import time
from collections.abc import Callable, Iterator

Act = Callable[[], float]
"""Does something once and returns how many seconds count."""


def take_turns(rounds: int, *acts: Act) -> tuple[list[float], ...]:
    """Return each act's samples: A B C, A B C, … ``rounds`` times."""
    samples: tuple[list[float], ...] = tuple([] for _ in acts)
    with _without_collections():
        for _ in range(rounds):
            for act, kept in zip(acts, samples, strict=True):
                kept.append(act())
            gc.collect(0)
    return samples


def timed(act: Callable[[], object]) -> Act:
    """Return an act whose whole duration counts."""

    def measured() -> float:
        began = time.perf_counter()
        act()
        return time.perf_counter() - began

    return measured


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    # A full collection in the middle of a sample is the bench's own doing.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
