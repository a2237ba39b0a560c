"""What a switch remembers of its rules: one reading, with what was done since."""

import threading
from datetime import datetime, timedelta

from immutable import host
from immutable_aws.rules.rule import Rule
from immutable_aws.rules.rulebook import Rulebook
from immutable_aws.rules.slots import Reading


class Memory:
    """The latest reading of a listener's rules, for as long as it may be believed.

    What this object makes and deletes is put into it, so that it need not be read again. It
    is as old as the reading is, whatever was put into it. Safe to use from several threads.
    """

    def __init__(self, rules: Rulebook, *, lag: timedelta) -> None:
        """Keep what to read, and how old a reading may be."""
        self._rules = rules
        self._lag = lag
        self._lock = threading.Lock()
        self._last: Reading | None = None
        self._asked_at = host.current().now()
        self._changes = 0

    @property
    def last(self) -> Reading | None:
        """Return what was read last, however old; None: nothing that can be believed."""
        return self._last

    def look(self) -> Reading:
        """Read now, and remember it."""
        self._rules.prepare()
        asked_at, changes = host.current().now(), self._changes
        reading = self._rules.read()
        with self._lock:
            # what was done meanwhile may or may not be in it
            self._last = reading if changes == self._changes else None
            self._asked_at = asked_at
        return reading

    def recent(self) -> Reading:
        """Return a reading that is no older than it may be."""
        last, asked_at = self._kept()
        if last is None or host.current().now() - asked_at >= self._lag:
            return self.look()
        return last

    def forget(self) -> None:
        """Forget what was read: something is not as it was thought to be."""
        with self._lock:
            self._changes += 1
            self._last = None

    def add(self, rule: Rule) -> None:
        """Remember a rule that was made."""
        with self._lock:
            self._changes += 1
            self._last = self._last.with_rule(rule) if self._last else None

    def remove(self, rule: Rule) -> None:
        """Remember that a rule was deleted."""
        with self._lock:
            self._changes += 1
            self._last = self._last.without(rule) if self._last else None

    def _kept(self) -> tuple[Reading | None, datetime]:
        with self._lock:
            return self._last, self._asked_at
