"""Cases of `immutable.protocols.LedgerStore`: put-if-absent, order, and nothing lost."""

import functools
import threading
from collections.abc import Callable

import attrs

from immutable import registry
from immutable.errors import ImmutableError, SequenceTaken
from immutable.model import ServiceName
from immutable.protocols import LedgerStore
from immutable.shapes import check_ledger
from immutable.testing.conformance.broken import Broken, shorten
from immutable.testing.conformance.case import Case, Cases, Part
from immutable.testing.conformance.judging import Judge
from immutable.testing.conformance.passing import ledger_by
from immutable.testing.conformance.running import Ran, Result, ran
from immutable.testing.conformance.subject import leaves_out
from immutable.workers import Raised, Returned

_WRITERS = 8
_PAGED = 7
_MANY = 60


@attrs.frozen(kw_only=True, eq=False)
class LedgerSubject:
    """A ledger store to be held to the contract.

    Args:
        ledger: its URL, or what opens the same store anew at every call.
        largest_bytes: the longest record that is tried.
        leave_out: names of cases that are not run; reported as left out.
        name: how the report calls it.
    """

    ledger: str | Callable[[], LedgerStore]
    largest_bytes: int = 4 << 20
    leave_out: tuple[str, ...] = ()
    name: str = "ledger"

    def open(self) -> LedgerStore:
        """Open the store anew."""
        if callable(self.ledger):
            store = self.ledger()
            check_ledger(store)
            return store
        return registry.open_ledger(self.ledger, ServiceName("conformance"))


class LedgerTrial(Judge):
    """One case's own streams in a store."""

    def __init__(self, made: Case["LedgerTrial"], subject: LedgerSubject) -> None:
        super().__init__(made.name, made.clause)
        self.store_of = subject
        self.stream = f"kit/{self.here.unique()[:12]}"
        self.store = self.open()

    def open(self) -> LedgerStore:
        """Open the store anew, as another process would."""
        return ledger_by(self.store_of.open(), self._watched)

    def fill(self, count: int, stream: str = "") -> list[tuple[int, bytes]]:
        """Append so many records and return them."""
        rows = [(n, f"record {n} of {stream}".encode()) for n in range(1, count + 1)]
        for number, record in rows:
            self.store.append(stream or self.stream, number, record)
        return rows

    def all(self, store: LedgerStore | None = None) -> list[tuple[int, bytes]]:
        """Return the case's stream."""
        return list((store or self.store).read(self.stream, after=0, limit=1000))

    def _watched(self, name: str, call: Callable[[], object]) -> object:
        try:
            return call()
        except (ImmutableError, Broken):
            raise
        except Exception as exc:
            expected = f"{name} raises errors of immutable.errors only"
            clause = "Errors are those of immutable.errors, with the cause kept"
            raise Broken(self.name, clause, expected=expected, seen=repr(exc)) from exc


case = Cases[LedgerTrial]()


@case(
    Part.LEDGER,
    "a new stream is empty",
    "LedgerStore.last: the record with the highest number; None when there is none",
)
def begins_empty(t: LedgerTrial) -> None:
    """Read a stream that nobody has written."""
    t.expect(t.store.last(t.stream) is None, "None", t.store.last(t.stream))
    t.expect(t.all() == [], "no records", t.all())


@case(
    Part.LEDGER,
    "records are read as they were written, in order",
    "LedgerStore.read: records with higher numbers, in ascending order",
)
def keeps_order(t: LedgerTrial) -> None:
    """Append beyond a change of digits, and read."""
    rows = t.fill(12)
    t.expect(t.all() == rows, f"{len(rows)} records in order", t.all())
    t.expect(t.store.last(t.stream) == rows[-1], f"{rows[-1]}", t.store.last(t.stream))


@case(
    Part.LEDGER,
    "reading goes by pages",
    "LedgerStore.read: at most limit records with higher numbers, in ascending order",
)
def reads_pages(t: LedgerTrial) -> None:
    """Read page by page, from the middle, and beyond the end."""
    rows, after, found = t.fill(_MANY), 0, list[tuple[int, bytes]]()
    while page := t.store.read(t.stream, after=after, limit=_PAGED):
        t.expect(len(page) <= _PAGED, f"at most {_PAGED} records", len(page))
        found += page
        after = page[-1][0]
        t.expect(len(found) <= len(rows), f"{len(rows)} records, each once", page)
    t.expect(found == rows, f"{len(rows)} records, each once, in order", found)
    middle = t.store.read(t.stream, after=_MANY // 2, limit=1)
    t.expect(middle == (rows[_MANY // 2],), f"{rows[_MANY // 2]}", middle)
    t.expect(t.store.read(t.stream, after=_MANY, limit=1) == (), "nothing", "records")


@case(
    Part.LEDGER,
    "a number is given once",
    "LedgerStore.append: SequenceTaken: the number is in use; nothing was changed",
)
def refuses_taken(t: LedgerTrial) -> None:
    """Append under numbers that are in use, with other bytes and with the same."""
    rows = t.fill(3)
    for number, record in ((2, b"another"), rows[2]):
        t.refused(
            functools.partial(t.store.append, t.stream, number, record),
            SequenceTaken,
            what=f"number {number} again",
        )
    t.expect(t.all() == rows, f"{rows}", t.all())


@case(
    Part.LEDGER,
    "of writers at once one wins",
    "LedgerStore.append: of two at once with one number, one is stored",
)
def lets_one_win(t: LedgerTrial) -> None:
    """Let several append under one number at the same instant, again and again."""
    stores = [t.open() for _ in range(_WRITERS)]
    for number in range(1, 6):
        gate = threading.Barrier(_WRITERS)
        answers = t.together(
            [
                functools.partial(_race, t, store, gate, number, n)
                for n, store in enumerate(stores)
            ]
        )
        won = [n for n, a in enumerate(answers) if isinstance(a, Returned)]
        lost = [a.error for a in answers if isinstance(a, Raised)]
        t.expect(len(won) == 1, "one writer to succeed", f"{len(won)} succeeded")
        t.expect(all(isinstance(e, SequenceTaken) for e in lost), "SequenceTaken", lost)
        wanted = (number, f"writer {won[0]}".encode())
        t.expect(t.store.last(t.stream) == wanted, f"{wanted}", t.store.last(t.stream))


def _race(
    t: LedgerTrial, store: LedgerStore, gate: threading.Barrier, number: int, me: int
) -> None:
    gate.wait(timeout=30)
    store.append(t.stream, number, f"writer {me}".encode())


@case(
    Part.LEDGER,
    "streams are independent",
    "LedgerStore: numbered records in named streams",
)
def keeps_apart(t: LedgerTrial) -> None:
    """Write two streams, one of which begins with the other's name."""
    other = f"{t.stream}/more"
    rows, more = t.fill(2), t.fill(3, other)
    t.expect(t.all() == rows, f"{rows}", t.all())
    found = list(t.store.read(other, after=0, limit=10))
    t.expect(found == more, f"{more}", found)
    t.expect(t.store.last(t.stream) == rows[-1], f"{rows[-1]}", t.store.last(t.stream))


@case(
    Part.LEDGER,
    "every byte comes back",
    "LedgerStore.append: store a record, at most 4 MiB",
)
def keeps_bytes(t: LedgerTrial) -> None:
    """Store nothing, every byte there is, and the longest record."""
    everything = bytes(range(256))
    longest = everything * (t.store_of.largest_bytes // len(everything))
    records = [b"", everything, longest, b"\r\n\0 \xff"]
    for number, record in enumerate(records, 1):
        t.store.append(t.stream, number, record)
    for number, record in enumerate(records, 1):
        found = t.store.read(t.stream, after=number - 1, limit=1)
        kept = found == ((number, record),)
        t.expect(kept, f"{len(record)} bytes, the same", shorten(found))


@case(
    Part.LEDGER,
    "what was stored is there for others",
    "LedgerStore.append: then: it survives a power cut",
)
def survives_reopening(t: LedgerTrial) -> None:
    """Open the store anew and read; append there, and read here."""
    rows, other = t.fill(3), t.open()
    t.expect(t.all(other) == rows, f"{rows} through another object", t.all(other))
    t.expect(other.last(t.stream) == rows[-1], f"{rows[-1]}", other.last(t.stream))
    other.append(t.stream, 4, b"from there")
    last = t.store.last(t.stream)
    t.expect(last == (4, b"from there"), "what the other object appended", last)


def run_ledger(made: Case[LedgerTrial], subject: LedgerSubject) -> Ran:
    """Hold a store to one clause.

    Raises:
        Broken: the clause is not kept.
    """
    if leaves_out(subject.leave_out, made.name):
        reason = "the subject leaves it out"
        return ran(made, subject.name, Result.LEFT_OUT, reason)
    trial = LedgerTrial(made, subject)
    try:
        made.check(trial)
    except ImmutableError as exc:
        raise trial.broken("no error", repr(exc)) from exc
    return ran(made, subject.name, Result.PASSED)
