"""pytest's plugin ``immutable``: a table of what the conformance kit has seen.

Does nothing, and imports next to nothing, in runs without the kit.
"""

import json
from collections import Counter
from collections.abc import Iterator

import pytest

PROPERTY = "immutable conformance"
"""Names what the kit notes in a test's report."""
_COLUMNS = ("passed", "refused cleanly", "not applicable", "left out", "failed")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print for each subject and part how many cases ended how."""
    rows = list(_rows(terminalreporter))
    if not rows:
        return
    terminalreporter.section("conformance")
    for subject in dict.fromkeys(row["subject"] for row in rows):
        own = [row for row in rows if row["subject"] == subject]
        for line in table(str(subject), own):
            terminalreporter.write_line(line)


def table(subject: str, rows: list[dict[str, object]]) -> Iterator[str]:
    """Yield the lines of one subject's table."""
    # late: runs without the kit import none of it
    from immutable.testing.conformance.case import Part

    seen = {str(row["part"]) for row in rows}
    parts = [part.value for part in Part if part.value in seen]
    wide = max(len(subject), *map(len, parts))
    yield f"{subject:{wide}}  " + "  ".join(_COLUMNS)
    for part in parts:
        counts = Counter(str(row["result"]) for row in rows if row["part"] == part)
        cells = (f"{counts[c] or '·':>{len(c)}}" for c in _COLUMNS)
        yield f"{part:{wide}}  " + "  ".join(cells)
    for row in rows:
        yield from _notes(row)


def _notes(row: dict[str, object]) -> Iterator[str]:
    notes = row["notes"]
    for note in notes if isinstance(notes, list) else ():
        yield f"  {row['case']}: {' '.join(map(str, note))}"
    if row["result"] == "left out":
        yield f"  {row['case']}: left out"


def _rows(reporter: pytest.TerminalReporter) -> Iterator[dict[str, object]]:
    reports = (
        report
        for found in reporter.stats.values()
        for report in found
        if getattr(report, "when", "") == "call"
    )
    for report in reports:
        yield from (
            json.loads(value)
            for name, value in report.user_properties
            if name == PROPERTY
        )
