"""Stand before the parts of a service and tell a watch of every effect, on both sides."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar, cast
from unittest import mock

from immutable.protocols import LedgerStore
from immutable_haproxy import controller, fence, installing, settings, storage
from immutable_haproxy.runtime import Conversation
from proofs.sigkill.points import Watch

EFFECTS = frozenset(
    {
        "machines.create",
        "machines.destroy",
        "instances.reserve",
        "instances.remove",
        "switch.attach",
        "switch.join",
        "switch.write",
        "switch.detach",
    }
)
_LOOKS = frozenset({"prompt", "show"})
_T = TypeVar("_T")


def tapped(part: _T, name: str, watch: Watch) -> _T:
    """Return something like the part, whose effects are met by the watch.

    Args:
        part: machines, what machines are kept in, or a switch.
        name: what it is called in the names of points.
        watch: told before and after each call that is one of `EFFECTS`.
    """
    return cast("_T", _Tap(part, name, watch))


class _Tap:
    def __init__(self, part: object, name: str, watch: Watch) -> None:
        self._part, self._name, self._watch = part, name, watch

    def __getattr__(self, attribute: str) -> object:
        found = getattr(self._part, attribute)
        call = f"{self._name}.{attribute}"
        return self._told(found, call) if call in EFFECTS else found

    def _told(self, call: Callable[..., object], name: str) -> Callable[..., object]:
        def told(*arguments: object, **options: object) -> object:
            self._watch.meet(name, "before")
            result = call(*arguments, **options)
            self._watch.meet(name, "after")
            return result

        return told


class TappedStore:
    """A ledger store whose every record is met by a watch."""

    def __init__(self, store: LedgerStore, watch: Watch) -> None:
        self._store, self._watch = store, watch

    def append(self, stream: str, sequence: int, record: bytes) -> None:
        """Store a record, and be at a point before and after."""
        if not stream.startswith("service/"):
            self._store.append(stream, sequence, record)
            return
        self._watch.record(record, "before")
        self._store.append(stream, sequence, record)
        self._watch.record(record, "after")

    def read(
        self, stream: str, *, after: int, limit: int
    ) -> tuple[tuple[int, bytes], ...]:
        """Return what the store returns."""
        return self._store.read(stream, after=after, limit=limit)

    def last(self, stream: str) -> tuple[int, bytes] | None:
        """Return what the store returns."""
        return self._store.last(stream)


@contextmanager
def haproxy_tapped(watch: Watch) -> Iterator[None]:
    """Meet each command to HAProxy that changes something, and each file replaced.

    Only afterwards: the instant before is the one after the last.
    """
    ask, replace = Conversation.ask, storage.replace

    def asked(talk: Conversation, *commands: str) -> list[str]:
        answers = ask(talk, *commands)
        words = commands[0].split()[:2] if commands else []
        if words and words[0] not in _LOOKS:
            watch.meet(f"haproxy {' '.join(words)}", "after")
        return answers

    def replaced(path: Path, text: str) -> None:
        replace(path, text)
        watch.meet(f"haproxy writes {path.name}", "after")

    with ExitStack() as stack:
        stack.enter_context(mock.patch.object(Conversation, "ask", asked))
        for module in (controller, fence, installing, settings):
            stack.enter_context(mock.patch.object(module, "replace", replaced))
        yield
