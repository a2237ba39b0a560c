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

from immutable.testing.linearizability.allowances import (
    with_late_effects,
    with_stale_reads,
)
from immutable.testing.linearizability.calls import (
    Answer,
    Call,
    Conflicted,
    Read,
    Seen,
    Touch,
    Write,
    Written,
)
from immutable.testing.linearizability.checker import check
from immutable.testing.linearizability.history import Operation, Step
from immutable.testing.linearizability.recorded import RecordedSwitch
from immutable.testing.linearizability.recording import History
from immutable.testing.linearizability.register import Register, Unseen, compare_and_set
from immutable.testing.linearizability.slot_register import Slots, slots
from immutable.testing.linearizability.verdict import Explained, Unexplained

__all__ = [
    "Answer",
    "Call",
    "Conflicted",
    "Explained",
    "History",
    "Operation",
    "Read",
    "RecordedSwitch",
    "Register",
    "Seen",
    "Slots",
    "Step",
    "Touch",
    "Unexplained",
    "Unseen",
    "Write",
    "Written",
    "check",
    "compare_and_set",
    "slots",
    "with_late_effects",
    "with_stale_reads",
]
