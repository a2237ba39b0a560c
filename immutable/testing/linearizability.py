"""Judge recorded histories: could all this have come from one register, one call at a time?

A history is what concurrent processes called, when, and what they were answered. It is
linearizable when each operation can be given one instant between its call and its return
at which it took effect whole, such that the register, going through them in that order,
would have given the very same answers. Herlihy and Wing, "Linearizability: A Correctness
Condition for Concurrent Objects", ACM TOPLAS 12(3), 1990.

`check` searches for such an order as Wing and Gong do ("Testing and Verifying Concurrent
Objects", J. Parallel Distrib. Comput. 17, 1993), never visiting a register state twice
with the same operations done, as Lowe does ("Testing for Linearizability", Concurrency
and Computation 29(4), 2017). What the register may answer is a pure function that you
can replace: `compare_and_set` and `slots` are the two kinds that refuse a stale writer.

Two writers read version 1, and both are told that they replaced it:

>>> from immutable.testing.linearizability import (
...     Operation, Register, Write, Written, check, compare_and_set
... )
>>> history = [
...     Operation(process="ann", call=Write(expected="1", value="green"),
...               answer=Written(version="2"), called=0.0, returned=2.0),
...     Operation(process="bob", call=Write(expected="1", value="blue"),
...               answer=Written(version="3"), called=1.0, returned=3.0),
... ]
>>> start = Register.holding("nothing", version="1")
>>> print(check(history, start=start, step=compare_and_set))
no order explains these 2 operations, by time since the first:
   1  0 to 2  ann  write 'green' over version 1: now version 2
   2  1 to 3  bob  write 'blue' over version 1: now version 3
the most that can be explained is, in this order: 1
then the register is 'green' at version 2, and nothing that is left fits

Had bob been told of the conflict, there is an order:

>>> import attrs
>>> from immutable.testing.linearizability import Conflicted
>>> history[1] = attrs.evolve(history[1], answer=Conflicted())
>>> print(check(history, start=start, step=compare_and_set))
linearizable: ann write 'green' over version 1: now version 2; bob write 'blue' over
version 1: conflict

To get the history of a switch, give each client its own recording of it:

    history = History(clock=time.monotonic)
    ann = history.recording(switch, process="ann")
    … use ``ann`` in one thread as the switch, ``bob`` in another …
    check(history.operations(), start=…, step=compare_and_set)
"""

import math
import textwrap
import threading
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterable, Iterator
from datetime import timedelta
from typing import Generic, TypeAlias, TypeVar

import attrs

from immutable.capabilities import SwitchCapabilities
from immutable.errors import Ambiguous, Conflict, ImmutableError
from immutable.model import (
    Endpoint,
    FleetName,
    HealthCheck,
    LedgerId,
    Member,
    Probe,
    Routing,
    SwitchView,
    Version,
)
from immutable.protocols import Switch

_C = TypeVar("_C")
_A = TypeVar("_A")
_S = TypeVar("_S", bound=Hashable)
_T = TypeVar("_T")
# of values that never change: a call of one kind is a call of any of several kinds
_C_co = TypeVar("_C_co", covariant=True)
_A_co = TypeVar("_A_co", covariant=True)
_S_co = TypeVar("_S_co", covariant=True)

Step: TypeAlias = Callable[[_S, _C, _A | None], _S | None]
"""A register's specification: its state, a call and the answer make the next state.

It returns None where the register, being in that state, cannot have given that answer.
For the answer None, which is "nobody knows", it returns the state after the call's whole
effect, or None where it has none. It must be pure; states are compared and hashed. What
follows from an unknown answer must be one state: let the state say what is not known,
as `Unseen` does.
"""


@attrs.frozen(kw_only=True)
class Operation(Generic[_C_co, _A_co]):
    """One call: who made it, what it was, what was answered, and between which times.

    An operation without an answer took effect once, whole, at some time between
    ``called`` and ``returned``, or never. With ``returned`` None that time has no end:
    give no other where the caller merely stopped waiting.
    """

    process: str
    call: _C_co
    answer: _A_co | None = None
    called: float
    returned: float | None = None

    def __attrs_post_init__(self) -> None:
        if self.returned is None and self.answer is not None:
            raise ValueError(f"{self.process} was answered, but never: {self}")
        if self.returned is not None and self.returned < self.called:
            raise ValueError(f"{self.process} was answered before it asked: {self}")

    def __str__(self) -> str:
        answer = "no answer" if self.answer is None else self.answer
        return f"{self.call}: {answer}"


# --- a register whose writes name the version that they replace ---------------------


@attrs.frozen(kw_only=True)
class Read:
    """Ask for value and version."""

    def __str__(self) -> str:
        return "read"


@attrs.frozen(kw_only=True)
class Write:
    """Replace the value, if the version is still the expected one."""

    expected: Version
    value: Hashable

    def __str__(self) -> str:
        return f"write {_word(self.value)} over version {self.expected}"


@attrs.frozen(kw_only=True)
class Touch:
    """Replace the version, if it is still the expected one, and leave the value.

    Attaching and detaching a fleet do this to a switch's routing.
    """

    expected: Version

    def __str__(self) -> str:
        return f"touch version {self.expected}"


@attrs.frozen(kw_only=True)
class Seen:
    """What a reading found."""

    value: Hashable
    version: Version

    def __str__(self) -> str:
        return f"{_word(self.value)} at version {self.version}"


@attrs.frozen(kw_only=True)
class Written:
    """The write was done, and this is the new version."""

    version: Version

    def __str__(self) -> str:
        return f"now version {self.version}"


@attrs.frozen(kw_only=True)
class Conflicted:
    """The version was not the expected one, and nothing was changed."""

    def __str__(self) -> str:
        return "conflict"


Call: TypeAlias = Read | Write | Touch
Answer: TypeAlias = Seen | Written | Conflicted


@attrs.frozen(kw_only=True)
class Unseen:
    """A version that nobody has been told yet, and that is none of these."""

    unlike: frozenset[Version] = frozenset()

    def __str__(self) -> str:
        return "nobody was told"


@attrs.frozen(kw_only=True)
class Register:
    """A value and its version; ``used`` are all versions that it is known to have had."""

    value: Hashable
    version: Version | Unseen
    used: frozenset[Version]

    @classmethod
    def holding(cls, value: Hashable, *, version: Version | str) -> "Register":
        """Return a register as the first reading found it."""
        known = Version(version)
        return cls(value=value, version=known, used=frozenset({known}))

    def __str__(self) -> str:
        return f"{_word(self.value)} at version {self.version}"


def compare_and_set(
    state: Register, call: Call, answer: Answer | None
) -> Register | None:
    """Say what a compare-and-set register is after an operation: a `Step`.

    Versions are opaque words; each write makes one that there never was before.
    """
    if isinstance(call, Read):
        if not isinstance(answer, Seen) or answer.value != state.value:
            return None
        return _named(state, answer.version)
    if isinstance(answer, Conflicted):
        return _unlike(state, call.expected)
    known = _named(state, call.expected)
    if known is None or isinstance(answer, Seen):
        return None
    return _replaced(known, call, answer)


def _named(state: Register, version: Version) -> Register | None:
    """Return the state, given that its version is this one."""
    if not isinstance(state.version, Unseen):
        return state if state.version == version else None
    if version in state.used or version in state.version.unlike:
        return None
    used = state.used | {version}
    return Register(value=state.value, version=version, used=used)


def _unlike(state: Register, version: Version) -> Register | None:
    """Return the state, given that its version is not this one."""
    if not isinstance(state.version, Unseen):
        return None if state.version == version else state
    if version in state.used or version in state.version.unlike:
        return state
    unlike = Unseen(unlike=state.version.unlike | {version})
    return Register(value=state.value, version=unlike, used=state.used)


def _replaced(
    state: Register, call: Write | Touch, answer: Written | None
) -> Register | None:
    value = call.value if isinstance(call, Write) else state.value
    if answer is None:
        return Register(value=value, version=Unseen(), used=state.used)
    if isinstance(call, Touch) and answer.version == call.expected:
        # Taking away what is not there changes nothing, the version included.
        return state
    if answer.version in state.used:
        return None
    used = state.used | {answer.version}
    return Register(value=value, version=answer.version, used=used)


@attrs.frozen(kw_only=True)
class Slots:
    """Numbered slots of which the highest counts; each can be created only once."""

    value: Hashable
    top: int

    def __str__(self) -> str:
        return f"{_word(self.value)} in slot {self.top}"


def slots(state: Slots, call: Call, answer: Answer | None) -> Slots | None:
    """Say what a slot register is after an operation: a `Step`.

    A version is the number of the highest slot. A write creates the one above the
    expected version: where that is taken, somebody else was first. Created late, below
    the highest, it changes nothing and must not be acknowledged: its writer would
    believe that the value is in force.
    """
    version = Version(str(state.top))
    if isinstance(call, Read):
        found = Seen(value=state.value, version=version)
        return state if answer == found else None
    if isinstance(answer, Conflicted):
        return state if call.expected != version else None
    if call.expected != version:
        return None
    if isinstance(call, Touch):
        return state if answer in {None, Written(version=version)} else None
    above = Written(version=Version(str(state.top + 1)))
    if answer not in {None, above}:
        return None
    return Slots(value=call.value, top=state.top + 1)


def _word(value: Hashable) -> str:
    if not isinstance(value, Routing):
        return repr(value)
    shares = [f"{fleet}={weight}" for fleet, weight in value.weights]
    preview = [f"preview={value.preview}"] if value.preview else []
    return " ".join([*shares, *preview]) or "nothing"


# --- what a switch's capabilities allow --------------------------------------------


def with_stale_reads(
    history: Iterable[Operation[_C, _A]], staleness: timedelta
) -> tuple[Operation[_C, _A], ...]:
    """Return the history such that a reading may show what was true a while before.

    "At most so old" means: at some instant from ``staleness`` before the call up to the
    return, the register was as the reading says. Exactly that is checked when the call
    is moved to the earlier time. Writes stay as they are: the contract refuses a write
    that expects an old version, whatever its writer was shown.
    """
    earlier_s = staleness.total_seconds()
    return tuple(
        attrs.evolve(operation, called=operation.called - earlier_s)
        if isinstance(operation.call, Read)
        else operation
        for operation in history
    )


def with_late_effects(
    history: Iterable[Operation[_C, _A]], late: timedelta
) -> tuple[Operation[_C, _A], ...]:
    """Return the history such that an unanswered call lands soon or never.

    Without this it may land at any time. Call it only where no caller was stopped
    between the recorded call and the moment it really sent something.
    """
    late_s = late.total_seconds()
    return tuple(
        attrs.evolve(operation, returned=operation.called + late_s)
        if operation.answer is None and operation.returned is None
        else operation
        for operation in history
    )


# --- the search --------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class Explained(Generic[_C_co, _A_co]):
    """The history is linearizable, for instance in this order.

    Operations without an answer that are not in it had no effect.
    """

    order: tuple[Operation[_C_co, _A_co], ...]

    def __str__(self) -> str:
        steps = "; ".join(f"{one.process} {one}" for one in self.order)
        return textwrap.fill(f"linearizable: {steps}", width=86)


@attrs.frozen(kw_only=True)
class Unexplained(Generic[_C_co, _A_co, _S_co]):
    """The history is not linearizable.

    ``prefix`` is the shortest beginning of it that has no order: what had not returned
    by then has no answer in it. ``explained`` is as much of the prefix as can be put
    into an order, and ``state`` what the register is after that.
    """

    prefix: tuple[Operation[_C_co, _A_co], ...]
    explained: tuple[Operation[_C_co, _A_co], ...]
    state: _S_co

    def __str__(self) -> str:
        times = [_times(one, self.prefix[0].called) for one in self.prefix]
        width = max(map(len, times))
        rows = [
            f"  {number:2}  {time:{width}}  {one.process}  {one}"
            for number, (time, one) in enumerate(
                zip(times, self.prefix, strict=True), 1
            )
        ]
        numbers = {id(one): number for number, one in enumerate(self.prefix, 1)}
        most = ", ".join(str(numbers[id(one)]) for one in self.explained)
        return "\n".join(
            [
                f"no order explains these {len(rows)} operations, by time since the first:",
                *rows,
                f"the most that can be explained is, in this order: {most or 'nothing'}",
                f"then the register is {self.state}, and nothing that is left fits",
            ]
        )


def _times(operation: Operation[_C, _A], first: float) -> str:
    if operation.returned is None:
        return f"{operation.called - first:.6g} to …"
    return f"{operation.called - first:.6g} to {operation.returned - first:.6g}"


def check(
    history: Iterable[Operation[_C, _A]], *, start: _S, step: Step[_S, _C, _A]
) -> Explained[_C, _A] | Unexplained[_C, _A, _S]:
    """Search for an order in which a register gives every answer of the history.

    Args:
        history: operations in any order. Two that touch in time may be swapped.
        start: what the register was before the first of them.
        step: what it may answer; see `compare_and_set` and `slots`.

    Returns:
        One such order, or the shortest part of the history that has none. The time this
        takes grows with the operations that overlap, not with the history's length.
    """
    whole = tuple(sorted(history, key=lambda operation: operation.called))
    found = _search(whole, start, step)
    if isinstance(found, Explained):
        return found
    times = sorted(_ends(whole))

    # Each beginning of what can be explained can be explained: so bisect.
    def fails(time: float) -> bool:
        return isinstance(_search(_until(whole, time), start, step), Unexplained)

    first = bisect_left(times, x=True, key=fails)
    part = _search(_until(whole, times[first]), start, step)
    return part if isinstance(part, Unexplained) else found


def _ends(history: Iterable[Operation[_C, _A]]) -> Iterator[float]:
    for operation in history:
        if operation.answer is not None and operation.returned is not None:
            yield operation.returned


def _until(
    history: Iterable[Operation[_C, _A]], time: float
) -> tuple[Operation[_C, _A], ...]:
    """Return what could be known of a history at a time, without unanswered readings."""
    return tuple(
        operation
        if _has_returned(operation, time)
        else attrs.evolve(operation, answer=None, returned=None)
        for operation in history
        if operation.called <= time
        if _has_returned(operation, time) or not isinstance(operation.call, Read)
    )


def _has_returned(operation: Operation[_C, _A], time: float) -> bool:
    return operation.returned is not None and operation.returned <= time


def _search(
    history: tuple[Operation[_C, _A], ...], start: _S, step: Step[_S, _C, _A]
) -> Explained[_C, _A] | Unexplained[_C, _A, _S]:
    """Go through the orders, depth first; a set of done operations is a bit mask."""
    moves = _Moves(history, step)
    trail: list[tuple[int, int, _S]] = [(-1, 0, start)]
    untried = [moves.after(0, start)]
    been: set[tuple[int, _S]] = set()
    deepest = trail[:]
    while trail:
        if moves.answered & ~trail[-1][1] == 0:
            return Explained(order=tuple(history[i] for i, _, _ in trail[1:]))
        move = next((m for m in untried[-1] if m[1:] not in been), None)
        if move is None:
            trail.pop()
            untried.pop()
            continue
        been.add(move[1:])
        trail.append(move)
        untried.append(moves.after(*move[1:]))
        if len(trail) > len(deepest):
            deepest = trail[:]
    done = tuple(history[i] for i, _, _ in deepest[1:])
    return Unexplained(prefix=history, explained=done, state=deepest[-1][2])


class _Moves(Generic[_S, _C, _A]):
    """What can come next: by the clock, and by what the register may answer."""

    def __init__(
        self, history: tuple[Operation[_C, _A], ...], step: Step[_S, _C, _A]
    ) -> None:
        self._all = (1 << len(history)) - 1
        self._called = [one.called for one in history]
        self._end = [math.inf if o.returned is None else o.returned for o in history]
        self._rows = [(one.call, one.answer) for one in history]
        self._step = step
        self.answered = sum(
            1 << i for i, (_, a) in enumerate(self._rows) if a is not None
        )

    def after(self, done: int, state: _S) -> Iterator[tuple[int, int, _S]]:
        """Return operation, what is done then, and the state: answered ones first."""
        certain: list[tuple[int, int, _S]] = []
        possible: list[tuple[int, int, _S]] = []
        soonest = math.inf
        for i in self._next(done):
            call, answer = self._rows[i]
            after = self._step(state, call, answer)
            if answer is None:
                soonest = min(soonest, self._end[i])
                if after is not None and after != state:
                    possible.append((i, done | 1 << i, after))
            elif after is not None:
                # What changes nothing may come first in any order: no other is tried,
                # unless an effect with a deadline could then come too late.
                if after == state and self._called[i] <= soonest:
                    return iter([(i, done | 1 << i, after)])
                certain.append((i, done | 1 << i, after))
        return iter(certain + possible)

    def _next(self, done: int) -> Iterator[int]:
        """Return what is not done, and was called before all such had returned."""
        now = self._called[done.bit_length() - 1] if done else -math.inf
        first_end = math.inf
        left = self._all & ~done
        while left:
            i = (left & -left).bit_length() - 1
            left &= left - 1
            if self._called[i] > first_end:
                return
            if self.answered >> i & 1:
                first_end = min(first_end, self._end[i])
            elif self._end[i] < now:
                continue
            yield i


# --- recording ---------------------------------------------------------------------


class History:
    """The calls that clients made, as they made them; safe to share between threads.

    Args:
        clock: gives seconds. Ticks that do not differ are set apart a little, in the
            order in which they were asked for.
    """

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock, self._last = clock, -math.inf
        self._lock, self._begun = threading.Lock(), 0
        self._rows: dict[int, Operation[Call, Answer]] = {}
        self._refused: list[Operation[Call, Answer]] = []

    def recording(self, switch: Switch, *, process: str) -> "RecordedSwitch":
        """Return the switch for one client; what it calls is written down here."""
        return RecordedSwitch(switch, process=process, history=self)

    def operations(self) -> tuple[Operation[Call, Answer], ...]:
        """Return all calls so far; those that are under way have no answer."""
        with self._lock:
            return tuple(self._rows.values())

    def refused(self) -> tuple[Operation[Call, Answer], ...]:
        """Return the calls that ended with an error which promises no effect."""
        with self._lock:
            return tuple(self._refused)

    def ask(
        self,
        process: str,
        call: Call,
        act: Callable[[], _T],
        answer: Callable[[_T], Answer],
        *,
        conflict: Answer | None,
    ) -> _T:
        """Make a call and write down when it was made and what came of it.

        A call that ended with any other error than `Conflict` and `Ambiguous` had no
        effect, by contract, and is left out of the history. One that was killed has no
        answer.

        Args:
            process: who calls.
            call: what the call means to the register.
            act: makes it.
            answer: says what its result means.
            conflict: what a `Conflict` means; None where it may have another reason
                than the version, and says nothing.
        """
        key = self._begin(process, call)
        try:
            result = act()
        except Ambiguous:
            raise
        except Conflict:
            self._end(key, conflict)
            raise
        except ImmutableError:
            self._end(key, None)
            raise
        self._end(key, answer(result))
        return result

    def _begin(self, process: str, call: Call) -> int:
        with self._lock:
            self._begun += 1
            key = self._begun
            self._rows[key] = Operation(process=process, call=call, called=self._now())
            return key

    def _end(self, key: int, answer: Answer | None) -> None:
        """Write down an answer; None leaves the call out, for it had no effect."""
        with self._lock:
            asked, now = self._rows.pop(key), self._now()
            done = attrs.evolve(asked, answer=answer, returned=now)
            if answer is None:
                self._refused.append(done)
            else:
                self._rows[key] = done

    def _now(self) -> float:
        self._last = max(self._clock(), math.nextafter(self._last, math.inf))
        return self._last


class RecordedSwitch:
    """A switch whose readings and changes of version are written down.

    The value is the routing. Attaching and detaching are written down as `Touch` where
    they take the version into account, which is where fencing is ``compare-and-set``.
    """

    def __init__(self, switch: Switch, *, process: str, history: History) -> None:
        self._switch, self._process, self._history = switch, process, history

    @property
    def capabilities(self) -> SwitchCapabilities:
        """Return what the switch can do."""
        return self._switch.capabilities

    def preflight(self) -> None:
        """Check that the switch is there."""
        self._switch.preflight()

    def endpoints(self) -> tuple[Endpoint, Endpoint]:
        """Return where clients connect."""
        return self._switch.endpoints()

    def read(self) -> SwitchView:
        """Read, and write down routing and version."""
        return self._history.ask(
            self._process, Read(), self._switch.read, _seen, conflict=None
        )

    def attach(
        self,
        fleet: FleetName,
        *,
        health: HealthCheck,
        owner: LedgerId,
        expected: Version,
    ) -> Version:
        """Attach, and write down the versions before and after."""

        def attach() -> Version:
            return self._switch.attach(
                fleet, health=health, owner=owner, expected=expected
            )

        return self._touch(expected, attach, conflict=Conflicted())

    def join(
        self, fleet: FleetName, members: tuple[Member, ...], *, drain: timedelta
    ) -> None:
        """Join members; this leaves the version alone."""
        self._switch.join(fleet, members, drain=drain)

    def health(self, fleet: FleetName) -> tuple[Probe, ...]:
        """Return one probe for each member."""
        return self._switch.health(fleet)

    def write(self, routing: Routing, *, owner: LedgerId, expected: Version) -> Version:
        """Write, and write down what was expected and what came of it."""

        def write() -> Version:
            return self._switch.write(routing, owner=owner, expected=expected)

        call = Write(expected=expected, value=routing)
        return self._history.ask(
            self._process, call, write, _written, conflict=Conflicted()
        )

    def sessions(self, fleet: FleetName) -> int | None:
        """Return how many requests the fleet is serving."""
        return self._switch.sessions(fleet)

    def detach(
        self, fleet: FleetName, *, owner: LedgerId, expected: Version
    ) -> Version:
        """Detach, and write down the versions before and after.

        A conflict is left out: the fleet may have had weight.
        """

        def detach() -> Version:
            return self._switch.detach(fleet, owner=owner, expected=expected)

        return self._touch(expected, detach, conflict=None)

    def _touch(
        self, expected: Version, act: Callable[[], Version], *, conflict: Answer | None
    ) -> Version:
        if self.capabilities.fencing != "compare-and-set":
            return act()
        call = Touch(expected=expected)
        return self._history.ask(self._process, call, act, _written, conflict=conflict)


def _seen(view: SwitchView) -> Answer:
    return Seen(value=view.routing, version=view.version)


def _written(version: Version) -> Answer:
    return Written(version=version)
