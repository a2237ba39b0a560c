"""Counts what was really called: at the server, whoever the client is."""

import collections
import time

import attrs

_MOST = 200_000


@attrs.frozen(kw_only=True)
class Made:
    """One call, as the server saw it."""

    name: str
    """Service and operation, such as ``ec2:RunInstances``."""
    at: float
    """Seconds since the count began."""
    took: float
    status: int
    error: str = ""
    key: str = ""


@attrs.define(eq=False)
class Calls:
    """Every call since the count began."""

    _made: collections.deque[Made] = attrs.field(
        factory=lambda: collections.deque(maxlen=_MOST), init=False
    )
    _began: float = attrs.field(factory=time.monotonic, init=False)

    def note(
        self, name: str, *, began: float, status: int, error: str, key: str
    ) -> None:
        """Count a call that began at a moment of the monotonic clock, and has ended."""
        made = Made(
            name=name,
            at=began - self._began,
            took=time.monotonic() - began,
            status=status,
            error=error,
            key=key,
        )
        self._made.append(made)

    def clear(self) -> None:
        """Begin to count anew."""
        self._made.clear()
        self._began = time.monotonic()

    def told(self) -> dict[str, object]:
        """Return the counts and the trace."""
        made = list(self._made)
        failed = collections.Counter(f"{m.name} {m.error}" for m in made if m.error)
        return {
            "total": len(made),
            "counts": dict(collections.Counter(m.name for m in made)),
            "errors": dict(failed),
            "trace": [attrs.asdict(m) for m in made],
        }
