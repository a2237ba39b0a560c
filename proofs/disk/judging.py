"""Whether a run went as its strike demands, and its store told the truth about it."""

import errno
from collections.abc import Iterator

from proofs.disk.faults import KILLS, Fault, Kind, Operation
from proofs.disk.runs import Run, Said
from proofs.disk.workload import RECORDS

KILLED = -9
_NEEDS_SPACE = frozenset({Kind.MKDIR, Kind.MKNOD, Kind.WRITE})


def judge(run: Run, struck: Operation) -> Iterator[str]:
    """Yield what is wrong with a run that was struck at an operation.

    Args:
        run: what the child said and did.
        struck: the same operation in a run without faults.
    """
    yield from (f"{said.detail}" for said in run.said if said.word == "broke")
    if run.strike.fault in KILLS:
        yield from _judge_kill(run, struck)
    else:
        yield from _judge_error(run, struck)


def _judge_kill(run: Run, struck: Operation) -> Iterator[str]:
    if run.status != KILLED:
        yield f"was not killed, but ended with {run.status}"
    last = run.operations[-1] if run.operations else None
    at = struck.number - (run.strike.fault is Fault.KILL_BEFORE)
    if (last.number if last else 0) != at:
        yield f"was killed elsewhere, at {last}"
    if last and last.number == struck.number and last.kind is not struck.kind:
        yield f"was killed at another operation, {last.kind.name}"


def _judge_error(run: Run, struck: Operation) -> Iterator[str]:
    if run.status != 0:
        yield f"did not go on when the fault had stopped: ended with {run.status}"
    elif (count := run.acknowledged(run.length)) < len(RECORDS):
        yield f"stored only {count} records when the fault had stopped"
    here = [each for each in run.operations if each.number == struck.number]
    if [each.kind for each in here] != [struck.kind]:
        yield "was struck at another operation"
    appending, before = "", 0
    for said in run.said:
        if said.word == "failed":
            yield from _judge_failure(run, struck, said, before)
            appending = said.detail if said.detail.startswith("append") else appending
        elif said.word == "found" and "Ambiguous" not in appending:
            yield f"{appending}, but the record is there"
        before = said.operations


def _judge_failure(
    run: Run, struck: Operation, said: Said, before: int
) -> Iterator[str]:
    """Yield what is wrong with the error that a call raised after some operations."""
    call, kind, code, *again = said.detail.split()
    during = range(before + 1, said.operations + 1)
    failed = [o for o in run.operations if o.number in during and o.error]
    named = f"{kind} ({code}) from {call}"
    if kind not in _fitting(failed):
        yield f"{named} does not fit what happened"
    full = run.strike.fault is Fault.FAIL and run.strike.error == errno.ENOSPC
    if full and struck.kind in _NEEDS_SPACE and not again:
        yield f"{named} is not called worth a retry"


def _fitting(failed: list[Operation]) -> frozenset[str]:
    """Return which errors tell the truth about a call during which these failed."""
    fitting = {"LedgerError"} if failed else set()
    # SQLite itself calls what it cannot read malformed.
    if any(each.kind is Kind.READ for each in failed):
        fitting.add("NotALedger")
    # One failure is read back; the outcome is unknown only where that fails too.
    if len(failed) > 1:
        fitting.add("Ambiguous")
    return frozenset(fitting)
