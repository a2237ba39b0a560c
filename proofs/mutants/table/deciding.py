"""Bugs in what is begun, and in whose traffic it is."""

from proofs.mutants.catchers import Scene, Schedules, Stateful
from proofs.mutants.mutant import planted

_ADMITTING = "immutable/deploying/admitting.py"
_CARETAKING = "immutable/deploying/caretaking.py"
_LOOP = "immutable/deploying/loop.py"
_OPERATIONS = "immutable/deploying/operations.py"
_RULES = "immutable/deploying/rules.py"
_RUNNING = "immutable/deploying/running.py"

MUTANTS = (
    planted(
        "drift is overwritten on the way",
        _RULES,
        "    if found.weights == expected.weights:\n        return None\n",
        "    if found.weights == expected.weights or expected:\n        return None\n",
        Schedules(150),
    ),
    planted(
        "drift is not seen at the beginning",
        _ADMITTING,
        "    if problem := drift(state, view, ledger):\n",
        '    if problem := drift(state, view, ledger) and "":\n',
        Stateful(40),
    ),
    planted(
        "a stale reading of the switch is drift",
        _RULES,
        "    if unsettled := not_yet_shown(scene):\n        return unsettled\n    message",
        "    message",
        Scene("readings that are old"),
        Schedules(150),
    ),
    planted(
        "the switch's owner is not looked at",
        _ADMITTING,
        "    if used and view.owner != ledger:\n",
        "    if used and not view.owner:\n",
        Scene("two ledgers and one switch"),
    ),
    planted(
        "what is live already is deployed again",
        _ADMITTING,
        "    return state.live is not None and state.live.release.digest == release.digest\n",
        "    return False\n",
        Stateful(20),
    ),
    planted(
        "a rollback toggles",
        _ADMITTING,
        "r for r in releases if live is not None and r.number < live.release.number",
        "r for r in releases if live is not None and r.number != live.release.number",
        Stateful(20),
    ),
    planted(
        "a stale plan is carried out",
        _OPERATIONS,
        "    if head is None or (head.ledger, head.switch) == (state.sequence, view.version):\n",
        "    if head is None or head.ledger <= state.sequence:\n",
        Stateful(20),
    ),
    planted(
        "a restored ledger counts releases from one",
        _CARETAKING,
        "    following = max(numbers, default=0) + 1\n",
        "    following = 1\n",
        Scene("a lost ledger"),
    ),
    planted(
        "a restored ledger knows no strays",
        _CARETAKING,
        "engine.journal.append(Restored(live=live, next_release=following, strays=strays))",
        "engine.journal.append(Restored(live=live, next_release=following, strays=()))",
        Scene("a lost ledger"),
    ),
    planted(
        "a call that has failed is called live",
        _LOOP,
        "                outcome=step.outcome,\n                live=step.live,\n",
        "                outcome=Outcome.LIVE,\n                live=step.live,\n",
        Stateful(20),
    ),
    planted(
        "what is due is not retired after a call",
        _RUNNING,
        "    return with_leftovers(result, tidy(engine, switch=loop.switch))\n",
        "    return result\n",
        Stateful(40),
        redundant="the next call on the service, or recover(), retires it",
    ),
)
