"""Every call of a case is watched: what it raises, what it launches, when it may be read."""

import functools
from collections.abc import Callable
from datetime import datetime

from immutable.errors import ImmutableError
from immutable.model import FleetSpec, LedgerId, ServiceName
from immutable.testing.conformance.broken import Broken
from immutable.testing.conformance.case import Terms
from immutable.testing.conformance.judging import Judge

_READINGS = frozenset(
    {
        "fleets.list",
        "fleets.observe",
        "images.find",
        "images.kept",
        "images.list",
        "images.lock",
        "images.record",
        "images.root",
        "logs.read",
        "machines.list",
        "switch.health",
        "switch.read",
        "switch.sessions",
    }
)


class Watch(Judge):
    """Watches a case's calls."""

    def __init__(self, name: str, clause: str, terms: Terms) -> None:
        super().__init__(name, clause, terms)
        self.services: dict[ServiceName, set[LedgerId]] = {}
        """Whatever the case has touched, to be cleared up: the ledgers of each."""
        self.untranslated: list[tuple[str, Exception]] = []
        self._changed_at: datetime | None = None

    def changed(self) -> None:
        """Note that something has changed now: readings may be older."""
        self._changed_at = self.here.now()

    def _patient(self, name: str, call: Callable[[], object]) -> object:
        """Before a reading, wait until it must show what was done before."""
        if name in _READINGS and self._changed_at is not None:
            self.pause(self._changed_at + self.staleness - self.here.now())
        return call()

    def _watched(self, name: str, call: Callable[[], object]) -> object:
        self._note_launch(name, call)
        try:
            return self._dated(name, call)
        except (ImmutableError, Broken):
            raise
        except Exception as exc:
            # the engine would take it for a bug and go on: it is told at the end, too
            self.untranslated.append((name, exc))
            raise

    def _dated(self, name: str, call: Callable[[], object]) -> object:
        try:
            return call()
        finally:
            if name not in _READINGS:
                self.changed()

    def _note_launch(self, name: str, call: Callable[[], object]) -> None:
        if name != "fleets.launch" or not isinstance(call, functools.partial):
            return
        spec = call.args[0] if call.args else call.keywords.get("spec")
        if isinstance(spec, FleetSpec):
            self.services.setdefault(spec.tags.service, set()).add(spec.tags.ledger)
