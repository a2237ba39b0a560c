"""A diff as people read it: what matters most first, and never more than they can read."""

from collections.abc import Iterable, Sequence

from immutable.images.diffing.changes import ImageDiff, PackageChange, PathChange

_MOST_PACKAGES = 20
_MOST_PATHS = 12
_MOST_CHARS = 120
_UNITS = (("GB", 10**9), ("MB", 10**6), ("kB", 10**3))


def tell(diff: ImageDiff) -> str:
    """Return a diff as text of at most 66 lines."""
    if diff.is_identical:
        return f"identical ({_size(diff.size_after_bytes)})"
    moved = {change.name for change in diff.packages}
    own = [change for change in diff.files if change.package not in moved]
    return "\n".join(
        [
            _summary(diff),
            *_section("packages", map(_package, _moved(diff.packages)), _MOST_PACKAGES),
            *_section("services", map(_path, _ranked(diff.services))),
            *_section("configuration", map(_path, _ranked(diff.configuration))),
            *_section("files", map(_path, _ranked(own))),
            *_explained(diff.files, own),
        ]
    )


def _summary(diff: ImageDiff) -> str:
    counts = [
        _count(len(diff.packages), "package"),
        _count(len(diff.services), "service file"),
        _count(len(diff.configuration), "configuration file"),
        _count(len(diff.files), "other file"),
    ]
    growth = diff.size_after_bytes - diff.size_before_bytes
    return (
        f"{', '.join(filter(None, counts))};"
        f" {_size(diff.size_before_bytes)} → {_size(diff.size_after_bytes)}"
        f" ({_signed(growth)})"
    )


def _section(title: str, lines: Iterable[str], most: int = _MOST_PATHS) -> list[str]:
    told = list(lines)
    if not told:
        return []
    rest = len(told) - most
    more = [f"  … and {rest} more, all in .{title}"] if rest > 0 else []
    return [title, *(f"  {line}" for line in told[:most]), *more]


def _moved(changes: Sequence[PackageChange]) -> list[PackageChange]:
    """Return packages that have another version first, then what came or went."""
    return sorted(changes, key=lambda change: not (change.before and change.after))


def _ranked(changes: Sequence[PathChange]) -> list[PathChange]:
    """Return changes that give rights first; then what is in both, then the largest."""
    return sorted(changes, key=_rank)


def _rank(change: PathChange) -> tuple[bool, bool, int, str]:
    is_in_both = change.before is not None and change.after is not None
    size = abs(change.growth_bytes)
    return (not change.is_privileged, not is_in_both, -size, change.path)


def _explained(files: Sequence[PathChange], own: Sequence[PathChange]) -> list[str]:
    count = len(files) - len(own)
    return [f"{_count(count, 'file')} of the packages above"] if count else []


def _package(change: PackageChange) -> str:
    told = [change.name, change.kind, *filter(None, [change.architecture])]
    before, after = ", ".join(change.before), ", ".join(change.after)
    versions = f"{before} → {after}" if before and after else before or after
    mark = "~" if before and after else "-" if before else "+"
    return _printable(f"{mark} {told[0]} {versions} ({', '.join(told[1:])})")


def _path(change: PathChange) -> str:
    what = change.what
    mark = {"added": "+", "removed": "-"}.get(what[0], "~")
    notes = [*(() if mark != "~" else what), *_modes(change)]
    if change.growth_bytes:
        notes.append(_signed(change.growth_bytes))
    if change.package:
        notes.append(f"of {change.package}")
    tail = f" ({', '.join(notes)})" if notes else ""
    return f"{mark} {_printable(change.path)}{_printable(tail)}"


def _modes(change: PathChange) -> list[str]:
    before, after = change.before, change.after
    if before and after and before.mode != after.mode:
        return [f"{before.mode:04o} → {after.mode:04o}"]
    only = after or before
    return [f"{only.mode:04o}"] if only and only.is_privileged else []


def _printable(text: str) -> str:
    """Return text without what would steer a terminal, and not too long."""
    plain = text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in plain)
    cut = len(shown) - _MOST_CHARS
    return (
        shown
        if cut <= 0
        else f"{shown[: _MOST_CHARS // 2]}…{shown[-_MOST_CHARS // 2 :]}"
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}" if number else ""


def _signed(size_bytes: int) -> str:
    return f"{'-' if size_bytes < 0 else '+'}{_size(abs(size_bytes))}"


def _size(size_bytes: int) -> str:
    for unit, factor in _UNITS:
        if size_bytes >= factor:
            return f"{size_bytes / factor:.1f} {unit}"
    return f"{size_bytes} B"
