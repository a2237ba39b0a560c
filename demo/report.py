"""What the demo shows at its end."""

import attrs

from immutable.results import HistoryLine


@attrs.frozen(kw_only=True)
class Scene:
    """One step of the demo: what was done, how it was to end, and how it did."""

    title: str
    expected: str
    found: str
    took_s: float
    sent: int
    failed: int
    wrong: int

    @property
    def is_good(self) -> bool:
        """Return whether all was as stated."""
        return self.expected == self.found and not self.failed and not self.wrong


def table(scenes: list[Scene]) -> str:
    """Return the steps as a table in plain text."""
    head = ("step", "outcome", "seconds", "requests", "failed", "wrong", "")
    rows = [head, *(_row(scene) for scene in scenes), _total(scenes)]
    widths = [max(len(row[n]) for row in rows) for n in range(len(head))]
    lines = [
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
    rule = "-" * max(len(line) for line in lines)
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def history_table(lines: tuple[HistoryLine, ...]) -> str:
    """Return the ledger's history, a line for each deployment."""
    rows = []
    for line in lines:
        release = f"v{line.release}" if line.release else "live"
        ended = str(line.outcome or "in progress")
        rows.append(
            f"{line.began_at:%H:%M:%S}  {line.verb:<9} {release:<5} {ended:<12} {line.error}"
        )
    return "\n".join(row.rstrip() for row in rows)


def _row(scene: Scene) -> tuple[str, ...]:
    mark = "ok" if scene.is_good else f"NOT AS STATED: {scene.expected}"
    counts = (str(scene.sent), str(scene.failed), str(scene.wrong))
    return (scene.title, scene.found, f"{scene.took_s:.1f}", *counts, mark)


def _total(scenes: list[Scene]) -> tuple[str, ...]:
    return (
        "all",
        "",
        f"{sum(scene.took_s for scene in scenes):.1f}",
        str(sum(scene.sent for scene in scenes)),
        str(sum(scene.failed for scene in scenes)),
        str(sum(scene.wrong for scene in scenes)),
        "",
    )
