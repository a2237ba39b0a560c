"""Bugs in what is written down, when, and by whom."""

from proofs.mutants.catchers import Faults, Kills, Scene, Schedules, Stateful
from proofs.mutants.mutant import Edit, Mutant, planted

_ACTING = "immutable/deploying/acting.py"
_ENTERING = "immutable/deploying/entering.py"
_FOLD = "immutable/ledger/fold.py"
_JOURNAL = "immutable/ledger/journal.py"
_LOOP = "immutable/deploying/loop.py"
_RUNNING = "immutable/deploying/running.py"
_STREAM = "immutable/ledger/stream.py"
_STORE = "immutable/testing/store.py"
_VIEW = "immutable/deploying/view.py"
_INCUMBENT = "deploy over an incumbent"

MUTANTS = (
    Mutant(
        name="intent journalled after the effect",
        edits=(
            Edit(
                _LOOP,
                """\
        attempt = self._journal.append(intent, lease=lease).attempt or attempt
""",
                "",
            ),
            Edit(
                _LOOP,
                """\
        result, error = self._try(effect, attempt)
""",
                """\
        result, error = self._try(effect, attempt)
        self._journal.append(intent, lease=lease)
""",
            ),
        ),
        catchers=(Schedules(50),),
    ),
    planted(
        "the ledger is appended to wherever it ends",
        _JOURNAL,
        """\
        record = self._record(entry, lease)
        self._stream.put(record)
""",
        """\
        self.load()
        record = self._record(entry, lease)
        self._stream.put(record)
""",
        Schedules(150),
    ),
    planted(
        "the store overwrites",
        _STORE,
        "        if sequence in rows:\n",
        "        if sequence in rows and not record:\n",
        Schedules(150),
    ),
    planted(
        "an append in doubt is taken for a rival's",
        _STREAM,
        "                if not doubts or not self._is_stored(record):\n",
        "                if True:\n",
        Faults(_INCUMBENT),
    ),
    planted(
        "an append in doubt is appended again under the next number",
        _JOURNAL,
        """\
        record = self._record(entry, lease)
        self._stream.put(record)
        self.state = fold(self.state, record)
""",
        """\
        from immutable.errors import Ambiguous
        record = self._record(entry, lease)
        try:
            self._store.append(self._stream.name, record.sequence, encode(record))
        except Ambiguous:
            self.load()
            record = self._record(entry, lease)
            self._stream.put(record)
        self.state = fold(self.state, record)
""",
        Faults(_INCUMBENT),
    ),
    planted(
        "a takeover leaves no record",
        _RUNNING,
        "attempt = engine.journal.append(TookOver()).attempt or open_",
        "attempt = engine.journal.state.attempt or open_",
        Kills(_INCUMBENT),
    ),
    planted(
        "the lease is not looked at",
        _ENTERING,
        "    return state.leased(host.now()) and not host.is_dead(state.owner)\n",
        "    return False\n",
        Kills(_INCUMBENT),
    ),
    planted(
        "an effect begins though the lease may end first",
        _ACTING,
        "        engine.journal.hold(limit)\n",
        "        pass\n",
        Scene("a blind writer that outlives its lease"),
    ),
    planted(
        "a beginning overwrites what is open",
        _FOLD,
        "        case Renewed() | Begun() | Restored() | Snapshot():\n",
        """\
        case Begun() as entry:
            return _begun(state, entry, record)
        case Renewed() | Restored() | Snapshot():
""",
        Schedules(150),
        redundant="a beginning is appended only to a history without an open attempt, "
        "by compare-and-set",
    ),
    planted(
        "an ending ends nothing",
        _FOLD,
        "    state = evolved(state, attempt=None, latest=ending)\n",
        "    state = evolved(state, latest=ending)\n",
        Schedules(10),
    ),
    planted(
        "tokens are drawn",
        _ACTING,
        "        lambda: _within_lease(engine, effect, ledger, token),\n",
        "        lambda: _within_lease(engine, effect, ledger, Token(engine.host.unique())),\n",
        Scene("a launch whose answer is lost"),
    ),
    planted(
        "a retry sends other parameters",
        _VIEW,
        """        "configuration": dict(release.configuration),\n""",
        """\
        "configuration": dict(release.configuration),
        "drawn": __import__("secrets").token_hex(4),
""",
        Schedules(100),
    ),
    planted(
        "a snapshot forgets what is open",
        _JOURNAL,
        "            self._append(Snapshot(state=self.state), lease)\n",
        """\
            forgotten = self.state.__class__(
                sequence=self.state.sequence,
                next_release=self.state.next_release,
                releases=self.state.releases,
                fleets=self.state.fleets,
            )
            self._append(Snapshot(state=forgotten), lease)
""",
        Stateful(40),
    ),
    planted(
        "the number of a failed release is used again",
        _FOLD,
        "    following = max(state.next_release, goal.release.number + 1)\n",
        "    following = max(state.next_release, goal.release.number)\n",
        Stateful(20),
    ),
)
