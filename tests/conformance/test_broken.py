"""Each broken backend is caught by name, and each case catches at least one."""

import functools
from collections.abc import Callable
from pathlib import Path

import broken_finding
import broken_fleets
import broken_groups
import broken_images
import broken_keeping
import broken_others
import broken_records
import broken_switches
import pytest
from broken import Defect
from servers import Servers

from immutable.testing import conformance, world
from immutable.testing.conformance import ledgers, validating
from immutable.testing.conformance.suite import case as suite

CASES = {case.name: case for case in suite.all()}
LEDGER_CASES = {case.name: case for case in ledgers.case.all()}
VALIDATOR_CASES = {case.name: case for case in validating.case.all()}
STRANGE_OPTIONS = "opening: an option that nobody reads is refused"
DEFECTS = (
    *broken_fleets.DEFECTS,
    *broken_groups.DEFECTS,
    *broken_finding.DEFECTS,
    *broken_images.DEFECTS,
    *broken_records.DEFECTS,
    *broken_keeping.DEFECTS,
    *broken_switches.DEFECTS,
    *broken_others.MACHINES,
)


ALL_CASES = {**CASES, **LEDGER_CASES, **VALIDATOR_CASES}


def caught(run: Callable[[], object], name: str, *clauses: str) -> None:
    """Expect that a case fails, and says which clause is broken: its own, or these."""
    with pytest.raises(conformance.Broken) as failure:
        run()
    assert failure.value.case == name
    assert failure.value.clause in (clauses or (ALL_CASES[name].clause,))
    assert f"contract: {failure.value.clause}" in str(failure.value)


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.name)
def test_broken_backends_are_caught(defect: Defect) -> None:
    """Every case that is to find a defect finds it."""
    for name in defect.found_by:
        run = functools.partial(conformance.run, CASES[name], defect.subject())
        caught(run, name, *defect.clauses)


@pytest.mark.parametrize("options", sorted({defect.options for defect in DEFECTS}))
def test_without_a_defect_nothing_is_caught(
    options: str, ran: Callable[[str], None]
) -> None:
    """What finds the defects finds nothing in the same world without them."""
    sound = Defect(name="sound", options=options, found_by=())
    found_by = {n for d in DEFECTS if d.options == options for n in d.found_by}
    names = sorted(name for name in found_by if not name.startswith("machines: "))
    results = [conformance.run(CASES[name], sound.subject()).result for name in names]
    not_applicable = results.count(conformance.Result.NOT_APPLICABLE)
    assert not_applicable < len(results)
    ran(
        f"conformance, without a defect ({options or 'plain'}): {len(results)} cases, "
        f"{not_applicable} not applicable, none failed"
    )


@pytest.mark.parametrize("name", broken_others.LEDGERS)
def test_broken_ledgers_are_caught(name: str) -> None:
    """Every broken ledger store fails the case that is to find it."""
    kind, found_by = broken_others.LEDGERS[name]
    store = kind()
    opened = kind if name == "remembers in the object" else lambda: store
    subject = conformance.LedgerSubject(ledger=opened)
    run = functools.partial(conformance.run_ledger, LEDGER_CASES[found_by], subject)
    caught(run, found_by)


@pytest.mark.parametrize("name", broken_others.VALIDATORS)
def test_broken_validators_are_caught(name: str) -> None:
    """Every broken validator fails the case that is to find it."""
    validator, found_by = broken_others.VALIDATORS[name]
    subject = conformance.ValidatorSubject(
        validator=validator() if name == "changes its mind" else validator,
        good="http://127.0.0.1:1",
        bad="http://127.0.0.1:2",
        patience="200ms",
    )
    case = VALIDATOR_CASES[found_by]
    caught(functools.partial(conformance.run_validation, case, subject), found_by)


def test_an_address_that_is_read_leniently_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A distribution that ignores options of its URL is found."""
    metadata = tmp_path / "lenient-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: lenient\n")
    points = "[immutable.backends]\nlenient = lenient_backend:open_backend\n"
    (metadata / "entry_points.txt").write_text(points)
    (tmp_path / "lenient_backend.py").write_text(
        "from immutable.testing import world\n\n\n"
        "def open_backend(url):\n"
        '    return world("memory://lenient").backend\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    subject = conformance.Subject(backend="lenient://here", good="image")
    run = functools.partial(conformance.run, CASES[STRANGE_OPTIONS], subject)
    caught(run, STRANGE_OPTIONS)


def test_no_case_is_without_a_defect_that_it_finds(ran: Callable[[str], None]) -> None:
    """Each case of each suite fails for at least one of the defects above."""
    finds: dict[str, list[str]] = {}
    for defect in DEFECTS:
        for name in defect.found_by:
            finds.setdefault(name, []).append(defect.name)
    others = broken_others.LEDGERS | broken_others.VALIDATORS
    for defect_name, (_, name) in others.items():
        finds.setdefault(name, []).append(defect_name)
    finds.setdefault(STRANGE_OPTIONS, []).append("reads its address leniently")
    assert set(finds) == {*CASES, *LEDGER_CASES, *VALIDATOR_CASES}
    for name, defects in finds.items():
        ran(f"conformance: {name} ← {'; '.join(defects)}")
    count = len(DEFECTS) + len(others) + 1
    ran(f"conformance, in all: {len(finds)} cases, {count} broken parts, each caught")


@pytest.mark.parametrize("name", [n for n in CASES if n.startswith("machines: ")])
def test_single_servers_that_are_sound_pass(name: str) -> None:
    """Servers in memory keep the contract of single servers."""
    servers, lab = Servers(), world("memory://single-servers")
    subject = conformance.Subject(
        backend=lab.backend, good=lab.image("good"), machines=servers, kill=servers.kill
    )
    assert conformance.run(CASES[name], subject).result is conformance.Result.PASSED
