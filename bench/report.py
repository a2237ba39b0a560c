"""A run's figures as JSON for machines and as a table for people."""

import json
import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

import attrs

from bench.figures import Figure, Unmeasured

SCHEMA = 1
_LONG = 1000
_HEADER = ("figure", "value", "beside", "floor or peer", "ratio", "n", "target", "met")
Row = Figure | Unmeasured


def machine() -> dict[str, object]:
    """Return what the figures depend on and the bench does not control."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "processors": len(os.sched_getaffinity(0)),
        "load_1_min": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "kernel": platform.release(),
    }


def to_json(rows: Sequence[Row], before: dict[str, object]) -> str:
    """Return the whole run as one JSON document."""
    figures = [_figure(row) for row in rows if isinstance(row, Figure)]
    unmeasured = [attrs.asdict(row) for row in rows if isinstance(row, Unmeasured)]
    document = {
        "schema": SCHEMA,
        "machine": before,
        "figures": figures,
        "not_measured": unmeasured,
    }
    return json.dumps(document, indent=1)


def to_table(rows: Sequence[Row]) -> str:
    """Return the run as a table; what was not measured says so, and why."""
    figures = [_cells(row) for row in rows if isinstance(row, Figure)]
    lines = _aligned([_HEADER, *figures]) if figures else []
    missing = [row for row in rows if isinstance(row, Unmeasured)]
    return "\n".join([*lines, *(f"{m.name}: not measured: {m.why}" for m in missing)])


def say(text: str) -> None:
    """Tell the person who waits; results alone go to standard output."""
    print(text, file=sys.stderr, flush=True)


def _figure(figure: Figure) -> dict[str, object]:
    fields = attrs.asdict(figure)
    target = str(figure.target) if figure.target else None
    rounded = {
        name: _rounded(value) if isinstance(value, float) else value
        for name, value in fields.items()
    }
    return rounded | {"target": target, "met": figure.met}


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")


def _cells(figure: Figure) -> tuple[str, ...]:
    met = {True: "yes", False: "NO", None: ""}[figure.met]
    return (
        figure.name,
        _spell(figure.value),
        _spell(figure.beside_value),
        figure.beside,
        "" if figure.ratio is None else f"{figure.ratio:.3g}x",
        str(figure.n),
        str(figure.target or ""),
        met,
    )


def _spell(value: float | None) -> str:
    if value is None:
        return ""
    is_long = float(value).is_integer() or abs(value) >= _LONG
    return f"{value:,.0f}" if is_long else f"{value:.3g}"


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEADER))]
    numbers = {1, 2, 4, 5}
    return [
        "  ".join(
            cell.rjust(width) if i in numbers else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
