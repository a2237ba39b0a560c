"""A part of the proof, and that it notices what it is there to notice."""

from collections.abc import Callable

import pytest

from proofs.disk.campaign import Asked, Proof, prove, proving
from proofs.disk.faults import Fault, Kind, Operation
from proofs.disk.planted import PLANTED

STATES = 600


@pytest.mark.parametrize(("cache_pages", "every"), [(0, 13), (1, 19)])
def test_ledger_keeps_its_promise(cache_pages: int, every: int) -> None:
    """Whatever fails, dies or loses its power: what was acknowledged is there, whole."""
    asked = Asked(
        states=STATES,
        seconds=200,
        every=every,
        recovery_kills=2,
        cache_pages=cache_pages,
    )
    tally = prove(asked)
    assert tally.violations == []
    assert tally.short == []
    assert tally.states >= STATES
    assert tally.kills > 50
    assert tally.recoveries > 15
    assert set(tally.faults) == set(Fault) - {Fault.NONE}


def _cut_early(proof: Proof) -> None:
    proof.cut(end=70)


def _strike_a_write(proof: Proof) -> None:
    proof.strike([_all(proof, _writes_ledger)[3]])


def _strike_last_syncs(proof: Proof) -> None:
    operations = proof.run.operations
    ends = {each.number + 2 for each in operations if each.kind is Kind.UNLINK}
    proof.strike(_all(proof, lambda each: each.number in ends))


def _writes_ledger(operation: Operation) -> bool:
    return operation.kind is Kind.WRITE and operation.name.endswith(".db")


def _all(proof: Proof, wanted: Callable[[Operation], bool]) -> list[Operation]:
    return [each for each in proof.run.operations if wanted(each)]


FOUND_BY = {
    "no-sync": _cut_early,
    "no-directory-sync": _cut_early,
    "journal-in-memory": _cut_early,
    "acknowledge-early": _cut_early,
    "unsettled-founding": _cut_early,
    "believe-commits": _strike_a_write,
    "raw-errors": _strike_a_write,
    "deny-ambiguity": _strike_last_syncs,
    "unsettled-reading": _strike_last_syncs,
    "settled-by-trying": _strike_last_syncs,
}


def test_every_planted_bug_is_looked_for() -> None:
    """No bug is planted without a test that finds it."""
    assert set(FOUND_BY) == set(PLANTED)


@pytest.mark.parametrize("bug", FOUND_BY)
def test_planted_bug_is_found(bug: str) -> None:
    """A store with this bug breaks the promise, and the proof says so."""
    with proving(Asked(states=0, planted=bug)) as proof:
        FOUND_BY[bug](proof)
    assert proof.tally.violations


def test_too_little_is_a_failure() -> None:
    """Out of time, a proof says what it has not done, and does not pass."""
    tally = prove(Asked(states=100_000, seconds=1, every=40, recovery_kills=1))
    assert any("crash states" in each for each in tally.short)
    assert any("fault" in each for each in tally.short)


def test_unkilled_operation_is_a_failure() -> None:
    """An operation at which no process was killed is named."""
    with proving(Asked(states=0)) as proof:
        pass
    made = [each for each in proof.run.operations if each.kind is Kind.MKNOD]
    proof.tally.require_kills(proof.run.operations, {made[0].number})
    changing = [each for each in proof.run.operations if each.changes]
    assert len(proof.tally.short) == len(changing) - 1
    assert not any("MKNOD" in each for each in proof.tally.short)
