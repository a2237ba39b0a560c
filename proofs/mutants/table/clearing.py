"""Bugs in what is looked for later, in proofs of absence, and in ledgers not whole."""

from proofs.kills.exploring import Extent
from proofs.mutants.catchers import Kills, Scene, Schedules
from proofs.mutants.mutant import planted

_ACTING = "immutable/deploying/acting.py"
_ADMITTING = "immutable/deploying/admitting.py"
_CARETAKING = "immutable/deploying/caretaking.py"
_FINDING = "immutable/deploying/finding.py"
_FOLD = "immutable/ledger/fold.py"
_JOURNAL = "immutable/ledger/journal.py"
_STREAM = "immutable/ledger/stream.py"
_LOOP = "immutable/deploying/loop.py"
_MAINTAINING = "immutable/deploying/maintaining.py"
_RUNNING = "immutable/deploying/running.py"
_INCUMBENT = "deploy over an incumbent"
_BLIND = Kills(_INCUMBENT, "blind", Extent(landings=True))
_LANDINGS = Kills(_INCUMBENT, "compare-and-set", Extent(landings=True))
_PLACE = Scene("a place that is not shown yet")

MUTANTS = (
    planted(
        "a reading without a place is proof enough",
        _MAINTAINING,
        "    if whole.context.backend.guards_deletion or fleet in whole.attempt.unplaced:\n",
        "    if whole.attempt:\n",
        _PLACE,
    ),
    planted(
        "a fence proves what it does not compare",
        _MAINTAINING,
        '    if whole.context.switch.fencing != "compare-and-set":\n',
        '    if whole.context.switch.fencing == "blind":\n',
        _PLACE,
    ),
    planted(
        "a blind fence believes what was read before it",
        _ACTING,
        "    if view.routing != fence.routing:\n",
        "    if False:\n",
        _BLIND,
        redundant="a fence spoils what was read, and what was in flight is judged by a "
        "reading that comes after it",
    ),
    planted(
        "a proof of absence outlives a new place",
        _FOLD,
        "            left = tuple(name for name in attempt.unplaced if name != fleet)\n",
        "            left = attempt.unplaced\n",
        Schedules(60),
        redundant="a deployment that parts with a fleet never gives it a place again",
    ),
    planted(
        "a proof of absence outlives its deployer",
        _FOLD,
        "        unplaced=(),\n",
        "",
        _LANDINGS,
        Schedules(60),
        redundant="nothing is attached after the proof, and what was sent before it "
        "names a version that the proof has replaced",
    ),
    planted(
        "after a retirement nobody looks again",
        _FOLD,
        "            state = evolved(without(state, fleet), doubted_at=at)\n",
        "            state = without(state, fleet)\n",
        Scene("a place that comes twice"),
    ),
    planted(
        "after a takeover nobody looks again",
        _FOLD,
        "    return evolved(with_attempt(state, attempt), doubted_at=at)\n\n\ndef _unfenced",
        "    return with_attempt(state, attempt)\n\n\ndef _unfenced",
        _LANDINGS,
        Schedules(60),
        redundant="whoever takes over asks again for what was in flight, or retires it, "
        "and both are looked at again",
    ),
    planted(
        "after a lost answer nobody looks again",
        _FOLD,
        "        attempt = _unfenced(attempt, settled, at)\n"
        "    return evolved(with_attempt(state, attempt), doubted_at=at)\n",
        "        attempt = _unfenced(attempt, settled, at)\n"
        "    return with_attempt(state, attempt)\n",
        Schedules(60),
        redundant="a change of servers is looked at again whatever its answer was, and "
        "places and members change only beside one, or beside a retirement",
    ),
    planted(
        "a look forgets the doubts that arose in it",
        _FOLD,
        "    if settled and doubted is not None and doubted == goal.settles:\n",
        "    if settled:\n",
        Schedules(60),
        redundant="in a look things are only retired, and what a retirement leaves in "
        "flight makes nothing",
    ),
    planted(
        "what a request can reach is swept",
        _FINDING,
        "        sorted(name for name in strangers - known if not view.routing.mentions(name))\n",
        "        sorted(strangers - known)\n",
        Schedules(60),
        redundant="a retirement passes over what has traffic",
    ),
    planted(
        "strays are retired before anybody asks for it",
        _RUNNING,
        "        fleets += tuple(name for name in found if name not in state.strays)\n",
        "        fleets += found\n",
        Scene("a lost ledger"),
    ),
    planted(
        "a rollback uses a tombstone again",
        _ADMITTING,
        "    standby = state.standby\n    return standby if standby",
        "    standby = next(\n"
        "        (f for f in state.fleets if f.release.number == number), None\n"
        "    )\n    return standby if standby",
        Scene("a person asks for a tombstone"),
    ),
    planted(
        "a ledger that is there is written anew",
        _CARETAKING,
        "    if state.sequence:\n        raise Refused",
        "    if state.sequence < 0:\n        raise Refused",
        Scene("a ledger that is not lost"),
    ),
    planted(
        "a lost ledger takes the side that was being tried",
        _CARETAKING,
        "    return min(entries, key=lambda entry: entry.release.number, default=None)\n",
        "    return max(entries, key=lambda entry: entry.release.number, default=None)\n",
        Scene("a ledger that is lost in a canary"),
    ),
    planted(
        "a rival's record is taken for one's own",
        _STREAM,
        "        return bool(found) and self.decode(found[0][1]).nonce == record.nonce\n",
        "        return bool(found)\n",
        Scene("two begin at once, and one hears nothing"),
    ),
    planted(
        "who founds a ledger second believes to be first",
        _JOURNAL,
        "        except SequenceTaken:\n            return self.found_identity()\n",
        "        except SequenceTaken:\n            self._identity = identity\n",
        Scene("two found a ledger at once"),
    ),
    planted(
        "a ledger is read from behind its snapshot",
        _STREAM,
        "        after = max(self.decode(last[1]).snapshot - 1, 0)\n",
        "        after = max(self.decode(last[1]).snapshot, 0)\n",
        Schedules(60),
    ),
    planted(
        "who was taken over goes on",
        _LOOP,
        "        except SequenceTaken:\n            return self._superseded()\n",
        "        except SequenceTaken:\n            self._journal.load()\n"
        "            return self.run()\n",
        Schedules(150),
    ),
    planted(
        "an effect begins though the ledger cannot be reached",
        _ACTING,
        "    except (BackendError, LedgerError) as exc:\n"
        "        raise LedgerLost(exc) from exc\n",
        "    except (BackendError, LedgerError):\n        pass\n",
        Scene("a blind writer that cannot reach its ledger"),
    ),
    planted(
        "an intent takes the lease of a record",
        _LOOP,
        "        lease = acting.budget(effect) + LEASE\n",
        "        lease = LEASE\n",
        Scene("a blind writer that outlives its lease"),
        Schedules(60),
        redundant="no effect begins before the lease is long enough for it: then it is "
        "renewed, at the price of a record",
    ),
)
