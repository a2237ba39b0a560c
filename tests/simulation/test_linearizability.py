import doctest
import itertools
import math
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from random import Random

import attrs
import pytest
from fakes import FakeSwitch, World
from hypothesis import event, given, settings
from hypothesis import strategies as st

# At the end: the package itself is tested as it is installed, not as it lies here.
sys.path.append(str(Path(__file__).parents[2]))

from immutable.errors import Ambiguous, Conflict, Unavailable
from immutable.model import HealthCheck, LedgerId, Routing
from immutable.protocols import Switch
from immutable.testing import linearizability, registers
from immutable.testing.linearizability import (
    Conflicted,
    Explained,
    History,
    Operation,
    Read,
    Register,
    Seen,
    Slots,
    Touch,
    Unexplained,
    Write,
    Written,
    check,
    compare_and_set,
    slots,
    with_late_effects,
    with_stale_reads,
)
from immutable_haproxy import HAProxySwitch
from proofs import linearize

OWNER = LedgerId("ledger")
HUNDREDS = 200


# --- histories that a register really gave ------------------------------------------


class Truth:
    """A register that makes up its versions, and knows which one is in force."""

    step = staticmethod(compare_and_set)

    def __init__(self, random: Random) -> None:
        self.random = random
        self.value, self.version = "nothing", self.fresh()
        self.start = Register.holding(self.value, version=self.version)
        self.past = [(self.value, self.version)]

    def fresh(self) -> str:
        return f"{self.random.getrandbits(40):010x}"

    def do(self, call: Read | Write | Touch) -> Seen | Written | Conflicted:
        if isinstance(call, Read):
            return Seen(value=self.value, version=self.version)
        if call.expected != self.version:
            return Conflicted()
        if isinstance(call, Touch) and self.random.random() < 0.5:
            return Written(version=self.version)
        self.value = call.value if isinstance(call, Write) else self.value
        self.version = self.fresh()
        self.past.append((self.value, self.version))
        return Written(version=self.version)

    def upcoming(self) -> list[str]:
        return [self.fresh() for _ in range(3)]


class SlotTruth(Truth):
    """A register whose versions are the numbers of slots."""

    step = staticmethod(slots)

    def __init__(self, random: Random) -> None:
        super().__init__(random)
        self.start = Slots(value=self.value, top=int(self.version))

    def fresh(self) -> str:
        return str(int(getattr(self, "version", 0)) + 1)

    def do(self, call: Read | Write | Touch) -> Seen | Written | Conflicted:
        if isinstance(call, Touch):
            same = call.expected == self.version
            return Written(version=self.version) if same else Conflicted()
        return super().do(call)

    def upcoming(self) -> list[str]:
        return [str(int(self.version) + more) for more in (1, 2, 3)]


class Client:
    """One process of a good history: what it calls, and what it has been told."""

    def __init__(self, name: str, truth: Truth) -> None:
        self.name, self.truth, self.random = name, truth, truth.random
        self.known = truth.version
        self.call: Read | Write | Touch | None = None
        self.called, self.fate = 0, "answered"
        self.answer: Seen | Written | Conflicted | None = None

    def begin(self, time: int, unknown: float) -> None:
        kinds = [Read(), Touch(expected=self.known)]
        kinds.append(Write(expected=self.known, value=f"value-{time}"))
        (self.call,) = self.random.choices(kinds, (40, 5, 55))
        self.called, self.answer, self.fate = time, None, "answered"
        if not isinstance(self.call, Read) and self.random.random() < unknown:
            self.fate = self.random.choice(["never", "now", "later"])

    def learn(self, answer: Seen | Written | Conflicted) -> None:
        self.answer = answer
        if not isinstance(answer, Conflicted):
            self.known = answer.version

    def operation(self, returned: int | None) -> Operation:
        return Operation(
            process=self.name,
            call=self.call,
            answer=None if returned is None else self.answer,
            called=self.called,
            returned=returned,
        )


def good_history(
    truth: Truth, *, count: int, processes: int = 4, unknown: float = 0.1
) -> list[Operation]:
    """Let clients use the register in turns that are drawn, and write it all down."""
    random, late, done = truth.random, [], []
    clients = [Client(f"p{number}", truth) for number in range(processes)]
    for time in itertools.count():
        if late and random.random() < 0.2:
            truth.do(late.pop(random.randrange(len(late))))
        client = random.choice(clients)
        if client.call is None:
            if len(done) < count:
                client.begin(time, unknown)
            elif all(other.call is None for other in clients):
                return done
        elif client.fate == "answered" and client.answer is None:
            client.learn(truth.do(client.call))
        else:
            if client.fate == "now":
                truth.do(client.call)
            if client.fate == "later":
                late.append(client.call)
            done.append(client.operation(time if client.answer else None))
            client.call = None
    raise AssertionError


def assert_explains(verdict: Explained, history: list[Operation], truth: Truth) -> None:
    """Check a witness without the search: by the register and by the clock."""
    order, state = list(verdict.order), truth.start
    assert {id(o) for o in history if o.answer} <= {id(o) for o in order}
    assert len({id(o) for o in order}) == len(order)
    for place, operation in enumerate(order):
        state = truth.step(state, operation.call, operation.answer)
        assert state is not None
        for later in order[place + 1 :]:
            assert later.returned is None or operation.called <= later.returned


@pytest.mark.parametrize("kind", [Truth, SlotTruth])
@pytest.mark.parametrize("processes", [2, 3, 5])
def test_what_a_register_did_is_explained(kind, processes):
    """Histories of a real register are accepted, each with an order that holds."""
    unknown = 0
    for seed in range(HUNDREDS):
        truth = kind(Random(f"{seed} {processes}"))
        history = good_history(truth, count=40, processes=processes)
        verdict = check(history, start=truth.start, step=truth.step)
        assert isinstance(verdict, Explained), f"{seed}: {verdict}"
        assert_explains(verdict, history, truth)
        unknown += sum(o.answer is None for o in history)
    assert unknown > HUNDREDS


@pytest.mark.parametrize("kind", [Truth, SlotTruth])
def test_nothing_known_of_any_write(kind):
    """A history of which half the answers are missing is accepted too."""
    for seed in range(HUNDREDS):
        truth = kind(Random(seed))
        history = good_history(truth, count=25, unknown=0.7)
        verdict = check(history, start=truth.start, step=truth.step)
        assert isinstance(verdict, Explained), f"{seed}: {verdict}"
        assert_explains(verdict, history, truth)


# --- histories that no register can give --------------------------------------------


def wrote(called, returned, expected, value, version):
    """Return an acknowledged write."""
    answer = Written(version=version)
    return called, returned, Write(expected=expected, value=value), answer


def touched(called, returned, expected, version):
    """Return an acknowledged touch."""
    return called, returned, Touch(expected=expected), Written(version=version)


def read(called, returned, value, version):
    """Return a reading."""
    return called, returned, Read(), Seen(value=value, version=version)


def refused(called, returned, expected, value):
    """Return a write that met a conflict."""
    return called, returned, Write(expected=expected, value=value), Conflicted()


def unknown(called, expected, value):
    """Return a write that nobody knows the end of."""
    return called, None, Write(expected=expected, value=value), None


@attrs.frozen
class Ground:
    """What is certain when the planted operations begin, and names for what comes."""

    before: str
    """A value that was there before the value ``is``, and its version ``u``."""
    u: str
    now: str
    v: str
    x: str
    y: str
    z: str


PLANTED = {
    "a reading is older than the one before it": lambda g: [
        read(0, 1, g.now, g.v),
        read(2, 3, g.before, g.u),
    ],
    "a reading misses an acknowledged write": lambda g: [
        wrote(0, 1, g.v, "a", g.x),
        read(2, 3, g.now, g.v),
    ],
    "a reading shows what was overwritten before it began": lambda g: [
        wrote(0, 1, g.v, "a", g.x),
        wrote(2, 3, g.x, "b", g.y),
        read(4, 5, "a", g.x),
    ],
    "lost update": lambda g: [
        wrote(0, 1, g.v, "a", g.x),
        wrote(2, 3, g.v, "b", g.y),
    ],
    "two winners of one version": lambda g: [
        wrote(0, 5, g.v, "a", g.x),
        wrote(1, 6, g.v, "b", g.y),
    ],
    "a conflict without a rival": lambda g: [refused(0, 1, g.v, "a")],
    "a conflict whose rival came later": lambda g: [
        refused(0, 1, g.v, "a"),
        wrote(2, 3, g.v, "b", g.x),
    ],
    "a conflict whose only rival had not landed": lambda g: [
        unknown(0, g.v, "a"),
        refused(1, 2, g.v, "b"),
        read(5, 6, g.now, g.v),
    ],
    "an unknown write takes effect twice": lambda g: [
        unknown(0, g.v, "a"),
        read(1, 2, "a", g.x),
        wrote(3, 4, g.x, "b", g.y),
        read(5, 6, "a", g.z),
    ],
    "an unknown write lands upon a newer one": lambda g: [
        unknown(0, g.v, "a"),
        wrote(1, 2, g.v, "b", g.x),
        read(3, 4, "b", g.x),
        read(5, 6, "a", g.y),
    ],
    "an unknown write lands before it was called": lambda g: [
        read(0, 1, "a", g.x),
        unknown(2, g.v, "a"),
    ],
    "an unknown write that expected another version lands": lambda g: [
        unknown(0, g.u, "a"),
        read(1, 2, "a", g.x),
    ],
    "a value that nobody wrote": lambda g: [read(0, 1, "ghost", g.x)],
    "a value that nobody wrote, at a good version": lambda g: [
        read(0, 1, "ghost", g.v)
    ],
    "the new value at the old version": lambda g: [
        wrote(0, 1, g.v, "a", g.x),
        read(2, 3, "a", g.v),
    ],
    "the old value at the new version": lambda g: [
        wrote(0, 1, g.v, "a", g.x),
        read(2, 3, g.now, g.x),
    ],
    "one version with two values": lambda g: [
        unknown(0, g.v, "a"),
        unknown(0, g.v, "b"),
        read(1, 2, "a", g.x),
        read(1, 2, "b", g.x),
    ],
    "a refused write is seen": lambda g: [
        wrote(0, 1, g.v, "a", g.x),
        refused(2, 3, g.v, "b"),
        read(4, 5, "b", g.y),
    ],
    "two writes make one version": lambda g: [
        wrote(0, 1, g.v, "a", g.x),
        wrote(2, 3, g.x, "b", g.x),
    ],
    "a version comes back": lambda g: [
        wrote(0, 1, g.v, "a", g.x),
        wrote(2, 3, g.x, "b", g.v),
    ],
    "a write leaves its version": lambda g: [wrote(0, 1, g.v, "a", g.v)],
    "a version that nobody gave is accepted": lambda g: [
        wrote(0, 1, g.z, "a", g.x),
    ],
    "a write is accepted over one that was replaced": lambda g: [
        wrote(0, 1, g.u, "a", g.x),
    ],
    "an effect before its call": lambda g: [
        read(0, 1, "a", g.x),
        wrote(2, 3, g.v, "a", g.x),
    ],
    "new, then old, during one write": lambda g: [
        wrote(0, 9, g.v, "a", g.x),
        read(1, 2, "a", g.x),
        read(3, 4, g.now, g.v),
    ],
    "two readers see two writes in opposite orders": lambda g: [
        unknown(0, g.v, "a"),
        unknown(0, g.x, "b"),
        unknown(0, g.y, "a"),
        read(1, 4, "a", g.x),
        read(5, 8, "b", g.y),
        read(1, 4, "b", g.y),
        read(5, 8, "a", g.x),
    ],
    "the version moves by itself": lambda g: [read(0, 1, g.now, g.x)],
    "a version that was denied is in force": lambda g: [
        unknown(0, g.v, "a"),
        refused(1, 2, g.v, "b"),
        refused(3, 4, g.x, "c"),
        read(5, 6, "a", g.x),
    ],
    "a touch changes the value": lambda g: [
        touched(0, 1, g.v, g.x),
        read(2, 3, g.before, g.x),
    ],
    "a touch is not seen": lambda g: [
        touched(0, 1, g.v, g.x),
        read(2, 3, g.now, g.v),
    ],
    "two touches of one version": lambda g: [
        touched(0, 5, g.v, g.x),
        touched(1, 6, g.v, g.y),
    ],
}
PLANTED_IN_SLOTS = {
    "a slot is left out": lambda g: [wrote(0, 1, g.v, "a", g.y)],
    "a slot below the highest is acknowledged": lambda g: [
        wrote(0, 1, g.u, "a", g.v),
    ],
    "a late slot takes over": lambda g: [
        unknown(0, g.v, "late"),
        wrote(1, 2, g.v, "b", g.x),
        read(3, 4, "late", g.x),
    ],
}


def ground_of(truth: Truth, history: list[Operation]) -> Ground:
    """End a good history such that its last state is certain, whatever was unknown."""
    history.append(operation("quiet", read(1e6, 1e6 + 1, truth.value, truth.version)))
    (before, u) = truth.past[-1]
    last = Write(expected=truth.version, value="certain")
    answer = truth.do(last)
    history.append(operation("quiet", (1e6 + 2, 1e6 + 3, last, answer)))
    return Ground(before, u, truth.value, truth.version, *truth.upcoming())


def operation(process, row, shift=0.0):
    """Return one of the rows above as a process's operation."""
    called, returned, call, answer = row
    end = None if returned is None else returned + shift
    return Operation(
        process=process, call=call, answer=answer, called=called + shift, returned=end
    )


def planted(kind: type[Truth], name: str, seed: int) -> tuple[Truth, list[Operation]]:
    """Return a good history that ends in one of the bad ones above."""
    truth = kind(Random(f"{seed} {name}"))
    history = good_history(truth, count=seed % 16, processes=2 + seed % 3)
    rows = (PLANTED | PLANTED_IN_SLOTS)[name](ground_of(truth, history))
    bad = [operation(f"bad{n}", row, shift=2e6) for n, row in enumerate(rows)]
    return truth, [*history, *bad]


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *((Truth, name) for name in PLANTED),
        *((SlotTruth, name) for name in PLANTED | PLANTED_IN_SLOTS),
    ],
)
def test_what_no_register_does_is_refused(kind, name):
    """Each planted fault is found in hundreds of histories, among its own operations."""
    for seed in range(HUNDREDS):
        truth, history = planted(kind, name, seed)
        verdict = check(history, start=truth.start, step=truth.step)
        assert isinstance(verdict, Unexplained), f"{seed}: {verdict}"
        bad = [o for o in verdict.prefix if o.process.startswith("bad")]
        assert bad, f"{seed}: the good part was blamed: {verdict}"


# --- the search, against every order there is ---------------------------------------

VERSIONS, VALUES = ("1", "2", "3"), ("nothing", "a", "b")
SMALL = Register.holding("nothing", version="1")


def every_order_explains(history: list[Operation]) -> bool:
    """Try all orders of all choices of what had an effect, on a plain register."""
    sure = [o for o in history if o.answer is not None]
    open_ended = [o for o in history if o.answer is None]
    return any(
        _goes(order, dict(zip(map(id, chosen), versions, strict=True)))
        for size in range(len(open_ended) + 1)
        for chosen in itertools.combinations(open_ended, size)
        for versions in itertools.product(_named_in(history), repeat=size)
        for order in itertools.permutations([*sure, *chosen])
        if _keeps_time(order)
    )


def _named_in(history: list[Operation]) -> set[str]:
    """Return the versions that can matter: all that are named, and two that are not."""
    named = {getattr(o.call, "expected", "1") for o in history}
    return {getattr(o.answer, "version", "1") for o in history} | named | {"?", "??"}


def _keeps_time(order: tuple[Operation, ...]) -> bool:
    return all(
        later.returned is None or later.returned >= earlier.called
        for earlier, later in itertools.combinations(order, 2)
    )


def _goes(order: tuple[Operation, ...], made: dict[int, str]) -> bool:
    """Run a plain register; ``made`` says which versions unknown writes made."""
    value, version, used = "nothing", "1", {"1"}
    for o in order:
        if isinstance(o.call, Read):
            if o.answer != Seen(value=value, version=version):
                return False
            continue
        if isinstance(o.answer, Conflicted):
            if o.call.expected == version:
                return False
            continue
        new = made[id(o)] if o.answer is None else o.answer.version
        if o.call.expected != version:
            return False
        if new == version and isinstance(o.call, Touch) and o.answer is not None:
            continue
        if new in used:
            return False
        value = o.call.value if isinstance(o.call, Write) else value
        version, used = new, used | {new}
    return True


@st.composite
def any_operation(draw) -> Operation:
    """Return any operation, be it as absurd as it may."""
    called = draw(st.integers(0, 7))
    version, value = draw(st.sampled_from(VERSIONS)), draw(st.sampled_from(VALUES))
    wish = draw(st.sampled_from(["read", "write", "touch"]))
    row: tuple = (called, called + draw(st.integers(0, 5)))
    if wish == "read":
        return operation("p", read(*row, value, version))
    call = Write(expected=version, value=value)
    call = Touch(expected=version) if wish == "touch" else call
    answer = draw(
        st.sampled_from([None, Conflicted(), *(Written(version=v) for v in VERSIONS)])
    )
    ends = draw(st.booleans()) or answer is not None
    return operation("p", (called, row[1] if ends else None, call, answer))


@st.composite
def nearly_good(draw) -> list[Operation]:
    """Return what a register did, with at most one answer or time changed."""
    truth = Truth(Random(draw(st.integers(0, 10**6))))
    words = iter((*VERSIONS, "4", "5", "6", "7"))
    truth.fresh = lambda: next(words)
    truth.value, truth.version = "nothing", truth.fresh()
    count, processes = draw(st.integers(1, 4)), draw(st.integers(2, 3))
    history = good_history(truth, count=count, processes=processes, unknown=0.3)
    history = [tidied(o) for o in history]
    if draw(st.booleans()):
        place = draw(st.integers(0, len(history) - 1))
        history[place] = draw(any_operation())
    return history


def tidied(o: Operation) -> Operation:
    """Give the values of a good history names from the small alphabet."""
    if isinstance(o.call, Write):
        name = VALUES[1 + int(o.call.value.split("-")[1]) % 2]
        return attrs.evolve(o, call=attrs.evolve(o.call, value=name))
    if isinstance(o.answer, Seen) and o.answer.value != "nothing":
        name = VALUES[1 + int(o.answer.value.split("-")[1]) % 2]
        return attrs.evolve(o, answer=attrs.evolve(o.answer, value=name))
    return o


SMALL_HISTORY = st.one_of(
    st.lists(any_operation(), min_size=1, max_size=4), nearly_good(), nearly_good()
).filter(lambda history: sum(o.answer is None for o in history) <= 2)


@settings(max_examples=400)
@given(SMALL_HISTORY)
def test_the_search_agrees_with_trying_everything(history):
    """On small histories the search and all permutations come to the same verdict."""
    verdict = check(history, start=SMALL, step=compare_and_set)
    expected = every_order_explains(history)
    event(f"linearizable: {expected}")
    assert isinstance(verdict, Explained) == expected, verdict


def test_both_verdicts_are_common_among_the_small_histories():
    """The comparison above is about something: neither verdict is rare."""
    count = {True: 0, False: 0}

    @settings(max_examples=200, database=None, derandomize=True)
    @given(SMALL_HISTORY)
    def look(history):
        verdict = check(history, start=SMALL, step=compare_and_set)
        count[isinstance(verdict, Explained)] += 1

    look()
    assert min(count.values()) > 30, count


# --- what the verdict says ----------------------------------------------------------


@pytest.mark.parametrize("name", PLANTED)
def test_the_blamed_prefix_is_the_shortest(name):
    """Up to the moment before the prefix ends, everything can be explained."""
    for seed in range(20):
        truth, history = planted(Truth, name, seed)
        found = check(history, start=truth.start, step=truth.step)
        end = max(o.returned for o in found.prefix if o.answer is not None)
        before = [
            o if o.returned is not None and o.returned < end else unanswered(o)
            for o in history
            if o.called < end
        ]
        assert isinstance(
            check(before, start=truth.start, step=truth.step), Explained
        ), f"{seed}: {found}"
        assert all(o.called <= end for o in found.prefix)


def unanswered(o: Operation) -> Operation:
    """Return what is known of an operation before it returns."""
    return attrs.evolve(o, answer=None, returned=None)


def test_the_verdict_in_words():
    """What cannot be explained is listed with its times, and what it stumbles over."""
    rows = [
        unknown(0, "1", "green"),
        wrote(1, 2, "1", "blue", "2"),
        read(3, 4, "green", "3"),
        read(3, 6, "blue", "2"),
    ]
    history = [operation(f"p{number}", row) for number, row in enumerate(rows)]
    assert str(check(history, start=SMALL, step=compare_and_set)).split("\n") == [
        "no order explains these 3 operations, by time since the first:",
        "   1  0 to …  p0  write 'green' over version 1: no answer",
        "   2  1 to 2  p1  write 'blue' over version 1: now version 2",
        "   3  3 to 4  p2  read: 'green' at version 3",
        "the most that can be explained is, in this order: 2",
        "then the register is 'blue' at version 2, and nothing that is left fits",
    ]


def test_an_answer_without_an_end_is_refused():
    """An answer that never came, or came before the question, is a broken record."""
    seen = Seen(value="a", version="1")
    with pytest.raises(ValueError, match="answered, but never"):
        Operation(process="p", call=Read(), answer=seen, called=0)
    with pytest.raises(ValueError, match="before it asked"):
        Operation(process="p", call=Read(), answer=seen, called=1, returned=0)


def test_an_empty_history_is_explained():
    """Nothing happened, and that is in order."""
    assert check([], start=SMALL, step=compare_and_set) == Explained(order=())


def plain(state, call, answer):
    """Say what a register without versions is: a specification of one's own."""
    if call == "read":
        return state if answer == state else None
    return call


def test_a_register_of_ones_own():
    """Whatever is a pure function can be the specification."""

    def asked(called, returned, call, answer):
        return operation("p", (called, returned, call, answer))

    both = [asked(0, 5, "green", "done"), asked(1, 6, "blue", "done")]
    for last in ("green", "blue"):
        history = [*both, asked(7, 8, "read", last)]
        assert isinstance(check(history, start="", step=plain), Explained)
    history = [*both, asked(7, 8, "read", "")]
    assert isinstance(check(history, start="", step=plain), Unexplained)


def test_no_state_is_gone_through_twice():
    """Ten operations that may come in any order do not cost ten factorial."""
    asked = 0

    def counting(state, call, answer):
        nonlocal asked
        asked += 1
        return compare_and_set(state, call, answer)

    rows = [unknown(0, "1", "a"), refused(1, 2, "1", "b")]
    rows += [refused(3, 9, f"guess-{number}", "c") for number in range(10)]
    rows += [read(10, 11, "nothing", "1")]
    history = [operation("p", row) for row in rows]
    verdict = check(history, start=SMALL, step=counting)
    assert isinstance(verdict, Unexplained)
    assert asked < 100_000


def test_a_long_history_takes_no_longer_for_each_operation():
    """Thousands of operations are checked without recursion."""
    truth = Truth(Random(1))
    history = good_history(truth, count=3_000, unknown=0.02)
    verdict = check(history, start=truth.start, step=truth.step)
    assert isinstance(verdict, Explained)


def test_the_docstring_example_runs():
    """The example that backend authors copy does what it prints."""
    failed, run = doctest.testmod(linearizability)
    assert (failed, run > 3) == (0, True)


# --- what the capabilities allow ----------------------------------------------------


def test_a_stale_reading_is_allowed_as_far_as_it_was_declared():
    """A reading may be as old as the switch says, and no older."""
    history = [
        operation("ann", wrote(0, 10, "1", "a", "2")),
        operation("ann", wrote(20, 30, "2", "b", "3")),
        operation("ann", read(39, 40, "a", "2")),
    ]

    def verdict(seconds: float) -> object:
        allowed = with_stale_reads(history, timedelta(seconds=seconds))
        return check(allowed, start=SMALL, step=compare_and_set)

    assert isinstance(verdict(0), Unexplained)
    assert isinstance(verdict(8.9), Unexplained)
    assert isinstance(verdict(9), Explained)


def test_staleness_excuses_no_write():
    """However old readings may be, writes win once, and not before they are called."""
    winners = [
        operation("ann", wrote(0, 10, "1", "a", "2")),
        operation("bob", wrote(20, 30, "1", "b", "3")),
    ]
    foreseen = [
        operation("ann", read(0, 10, "a", "2")),
        operation("bob", wrote(20, 30, "1", "a", "2")),
    ]
    for history in (winners, foreseen):
        allowed = with_stale_reads(history, timedelta(hours=1))
        verdict = check(allowed, start=SMALL, step=compare_and_set)
        assert isinstance(verdict, Unexplained)


def test_a_late_effect_is_allowed_as_far_as_it_was_declared():
    """What nobody was told of may land as late as the switch says, and no later."""
    history = [
        operation("ann", unknown(0, "1", "a")),
        operation("bob", read(9, 10, "nothing", "1")),
        operation("bob", read(11, 12, "a", "2")),
    ]

    def verdict(seconds: float) -> object:
        allowed = with_late_effects(history, timedelta(seconds=seconds))
        return check(allowed, start=SMALL, step=compare_and_set)

    assert isinstance(check(history, start=SMALL, step=compare_and_set), Explained)
    assert isinstance(verdict(9), Explained)
    assert isinstance(verdict(8.9), Unexplained)


def test_an_effect_keeps_the_end_it_has():
    """What is known to have landed by some time or never is not given longer."""
    write = Write(expected="1", value="a")
    history = [operation("ann", (0, 5, write, None))]
    assert with_late_effects(history, timedelta(seconds=9)) == tuple(history)


def test_an_effect_with_a_deadline_is_not_put_off():
    """What changes nothing may not push an effect past the time it had."""
    history = [
        operation("ann", (0, 5, Write(expected="1", value="a"), None)),
        operation("bob", (6, 9, Touch(expected="9"), Conflicted())),
        operation("bob", read(7, 8, "a", "2")),
    ]
    verdict = check(history, start=SMALL, step=compare_and_set)
    assert isinstance(verdict, Explained)


# --- recording ----------------------------------------------------------------------

GREEN = Routing(preview="green")
BLUE = Routing(preview="blue")


class Ticks:
    """A clock that stands still."""

    def __call__(self) -> float:
        return 5.0


def recorded(switch: Switch | None = None):
    """Return a history, and one client's recording of a switch."""
    history = History(clock=Ticks())
    return history, history.recording(switch or FakeSwitch(World()), process="ann")


def test_calls_are_written_down_in_their_order():
    """Reads, writes and what they were answered, at times that never stand still."""
    history, switch = recorded()
    view = switch.read()
    new = switch.write(GREEN, owner=OWNER, expected=view.version)
    with pytest.raises(Conflict):
        switch.write(BLUE, owner=OWNER, expected=view.version)
    first, second, third = history.operations()
    assert (first.call, first.answer) == (Read(), Seen(value=Routing(), version="1"))
    assert second.call == Write(expected="1", value=GREEN)
    assert second.answer == Written(version=new)
    assert third.answer == Conflicted()
    times = [time for o in history.operations() for time in (o.called, o.returned)]
    assert times == sorted(set(times))


def test_a_whole_life_of_a_switch_is_explained():
    """Attaching and detaching move the version, and are part of the history."""
    history, switch = recorded()
    version = switch.read().version
    health = HealthCheck(port=80)
    version = switch.attach("green", health=health, owner=OWNER, expected=version)
    switch.join("green", (), drain=timedelta())
    version = switch.write(GREEN, owner=OWNER, expected=version)
    with pytest.raises(Conflict):
        switch.detach("green", owner=OWNER, expected=version)
    version = switch.write(Routing(), owner=OWNER, expected=version)
    switch.detach("green", owner=OWNER, expected=version)
    switch.read()
    start = Register.holding(Routing(), version="1")
    verdict = check(history.operations(), start=start, step=compare_and_set)
    assert isinstance(verdict, Explained)
    assert [type(o.call) for o in verdict.order] == [
        *(Read, Touch, Write, Write, Touch, Read)
    ]


def test_a_slot_switch_is_recorded_without_touches():
    """Where attaching does not take the version into account, it is no operation."""
    inner = FakeSwitch(World(), fencing="slot")
    history, switch = recorded(inner)
    health = HealthCheck(port=80)
    switch.attach("green", health=health, owner=OWNER, expected="1")
    assert history.operations() == ()


@pytest.mark.parametrize(
    ("error", "left"),
    [(Ambiguous("lost"), 1), (Unavailable("down"), 0), (KeyboardInterrupt(), 1)],
)
def test_what_a_failed_write_leaves_in_the_history(error, left):
    """Ambiguous and killed calls may have had effect; others did not, by contract."""
    world = World()
    history, switch = recorded(FakeSwitch(world))
    world.faults["write"] = [error]
    with pytest.raises(type(error)):
        switch.write(GREEN, owner=OWNER, expected="1")
    left_open = [(o.answer, o.returned) for o in history.operations()]
    assert left_open == [(None, None)] * left
    refused = history.refused()
    assert [type(o.call) for o in refused] == [Write] * (1 - left)
    assert all(o.returned > o.called for o in refused)


def test_a_call_under_way_has_no_answer_yet():
    """Who looks in the middle of a write sees that it has not returned."""
    history = History(clock=Ticks())
    seen = []

    class Slow(FakeSwitch):
        def write(self, routing, *, owner, expected):
            seen.extend(history.operations())
            return super().write(routing, owner=owner, expected=expected)

    switch = history.recording(Slow(World()), process="ann")
    switch.write(GREEN, owner=OWNER, expected="1")
    assert [(o.called, o.answer, o.returned) for o in seen] == [(5.0, None, None)]


def test_the_rest_of_the_switch_shows_through():
    """What is not recorded is the switch's own."""
    inner = FakeSwitch(World())
    _, switch = recorded(inner)
    switch.preflight()
    assert switch.capabilities is inner.capabilities
    assert switch.endpoints() == inner.endpoints()
    assert (switch.health("green"), switch.sessions("green")) == ((), 0)


class Locked(FakeSwitch):
    """A switch that is atomic, also between threads."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.one_at_a_time = threading.Lock()

    def read(self):
        with self.one_at_a_time:
            return super().read()

    def write(self, routing, *, owner, expected):
        with self.one_at_a_time:
            return super().write(routing, owner=owner, expected=expected)


class Torn(Locked):
    """A switch that compares, waits until another has compared too, and sets."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.both = threading.Barrier(2)

    def write(self, routing, *, owner, expected):
        self._check(expected)
        self.both.wait()
        with self.one_at_a_time:
            self.world.routing = routing
            return self._moved("write", owner)


def raced(switch: Switch, rounds: int) -> Iterator[object]:
    """Let two threads race for each version, and check what they were told."""
    history = History(clock=Ticks())
    start = Register.holding(Routing(), version="1")

    def client(name: str) -> None:
        own = history.recording(switch, process=name)
        for number in range(rounds):
            version = own.read().version
            try:
                own.write(
                    Routing(preview=f"{name}{number}"), owner=OWNER, expected=version
                )
            except Conflict:
                continue

    threads = [threading.Thread(target=client, args=(name,)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    yield check(history.operations(), start=start, step=compare_and_set)


def test_threads_are_recorded_together():
    """Two threads at an atomic switch make a history that is explained."""
    (verdict,) = raced(Locked(World()), 200)
    assert isinstance(verdict, Explained), str(verdict)
    assert len(verdict.order) == 800


def test_a_switch_that_is_not_atomic_is_found_out():
    """Two threads that both compare before either sets both win, and it shows."""
    (verdict,) = raced(Torn(World()), 1)
    assert isinstance(verdict, Unexplained)


# --- the proof ------------------------------------------------------------------------


def tally(kind: str, count: int) -> linearize.Tally:
    """Run the histories of the first seeds."""
    return linearize.run_kind(kind, range(1, count + 1), 1, math.inf)


@pytest.mark.parametrize("kind", ["compare-and-set", "slot"])
def test_simulated_switches_are_linearizable(kind):
    """Whatever goes wrong around them, what clients are told can be explained."""
    done = tally(kind, 150)
    assert done.violations == []
    assert done.is_good
    assert (done.ran, done.operations > 5_000) == (150, True)
    assert done.unknown > 100 < done.conflicts
    assert done.kills > 0


def test_blind_switches_are_found_out():
    """A switch that compares before it sends is not linearizable, and this shows it."""
    done = tally("blind", 30)
    assert done.violations
    assert done.is_good


def test_a_history_repeats():
    """The same seed makes the same history, another seed another one."""
    first, again, other = (
        linearize.simulated("slot", seed).recorded for seed in (7, 7, 8)
    )
    assert first == again != other


def unfenced(register, routing, owner, expected):
    """Take any write, whatever version it expects."""
    return attrs.evolve(register, routing=routing, version=register.version + 1)


def test_a_broken_switch_fails_the_proof(monkeypatch, capsys):
    """When the simulated switch stops comparing, the run says so and how to repeat it."""
    monkeypatch.setattr(registers, "written", unfenced)
    options = ["--switch", "compare-and-set", "--haproxy", "0"]
    assert linearize.main([*options, "--count", "3"]) == 1
    said = capsys.readouterr().out
    assert "no order explains" in said
    assert "--count 1 --seed 1 --switch compare-and-set --haproxy 0" in said


def test_the_proof_counts_what_ran(capsys):
    """All asked, all run, is good; cut short by the clock, it is not."""
    options = ["--count", "100", "--haproxy", "0", "--processes", "2"]
    assert linearize.main(options) == 0
    rows = capsys.readouterr().out.split("\n")[1:4]
    assert [row.split()[:3] for row in rows] == [
        ["compare-and-set", "100", "100"],
        ["slot", "100", "100"],
        ["blind", "20", "20"],
    ]
    short = ["--count", "1000", "--haproxy", "0", "--seconds", "0"]
    assert linearize.main(short) == 1


def mapped(*rows) -> object:
    """Judge rows as a history of HAProxy's map, by version 1 at the start."""
    history = [operation(f"p{number}", row) for number, row in enumerate(rows)]
    start = linearize.Map(register=SMALL)
    return check(history, start=start, step=linearize.haproxy_map)


def preparing(called, returned, expected, value):
    """Return the first step of a write."""
    write = Write(expected=expected, value=value)
    return called, returned, linearize.Prepare(write=write), None


def test_a_prepared_map_is_seen_at_a_version_of_its_own():
    """A reading between the two steps shows the old routing, and the write goes on."""
    rows = [
        preparing(0, 9, "1", "a"),
        read(1, 2, "nothing", "1+"),
        read(3, 4, "nothing", "1+"),
    ]
    assert isinstance(mapped(*rows, wrote(0, 9, "1", "a", "2")), Explained)
    assert isinstance(mapped(*rows, unknown(0, "1", "a")), Explained)
    assert isinstance(mapped(*rows, wrote(5, 9, "1+", "b", "2")), Explained)
    assert isinstance(mapped(*rows[1:], wrote(0, 9, "1", "a", "2")), Unexplained)


def test_a_prepared_map_is_for_who_prepared_it():
    """Nobody else's write goes on from there, and no second write of the same."""
    rows = [preparing(0, 9, "1", "a"), read(1, 2, "nothing", "1+")]
    assert isinstance(mapped(*rows, wrote(3, 9, "1", "b", "2")), Unexplained)
    twice = [wrote(3, 4, "1", "a", "2"), wrote(5, 6, "1", "a", "3")]
    assert isinstance(mapped(*rows, *twice), Unexplained)
    assert isinstance(mapped(*rows, read(3, 4, "nothing", "1")), Unexplained)


def test_a_restart_is_a_new_version_of_the_same_routing():
    """What a killed HAProxy served, it serves again; old versions are refused."""
    restart = (0, None, linearize.Restart(), None)
    again = read(3, 4, "nothing", "boot")
    assert isinstance(mapped(again), Unexplained)
    assert isinstance(mapped(restart, again), Explained)
    assert isinstance(mapped(restart, again, refused(5, 6, "1", "a")), Explained)
    assert isinstance(mapped(restart, again, wrote(5, 6, "1", "a", "2")), Unexplained)
    assert isinstance(mapped(restart, read(3, 4, "else", "boot")), Unexplained)


@pytest.mark.haproxy
def test_the_real_haproxy_is_linearizable():
    """Threads and processes race for one HAProxy that is killed now and then."""
    done = linearize.run_haproxy(range(1, 13), math.inf)
    assert done.violations == []
    assert done.is_good
    assert (done.ran, done.operations > 400, done.kills > 0) == (12, True, True)


@pytest.mark.haproxy
def test_a_haproxy_whose_fence_is_off_is_found_out(monkeypatch):
    """A client that writes over whatever is there does not go unnoticed."""
    fenced = HAProxySwitch.write

    def write(self, routing, *, owner, expected):
        return fenced(self, routing, owner=owner, expected=self.read().version)

    monkeypatch.setattr(HAProxySwitch, "write", write)
    done = linearize.run_haproxy(range(1, 4), math.inf)
    assert (done.ran, bool(done.violations)) == (3, True)
