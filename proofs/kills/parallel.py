"""Tasks side by side, each in an interpreter of its own."""

import multiprocessing
from collections.abc import Iterator, Sequence
from typing import Protocol, TypeVar

_T_co = TypeVar("_T_co", covariant=True)


class Task(Protocol[_T_co]):
    """Something to run; it can be pickled, and so can what it returns."""

    def run(self) -> _T_co:
        """Do it."""
        ...


def run_all(tasks: Sequence[Task[_T_co]], processes: int) -> Iterator[_T_co]:
    """Yield what the tasks return, in their order, as it comes."""
    if processes == 1:
        yield from map(_run, tasks)
        return
    # a fresh interpreter for each: a fork would take over greenlets that are not its own
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield from pool.imap(_run, tasks)


def _run(task: Task[_T_co]) -> _T_co:
    return task.run()
