"""Bugs in who serves, when servers fail, people meddle and deployers die."""

from proofs.mutants.catchers import Scene, Schedules
from proofs.mutants.mutant import planted

_ADMITTING = "immutable/deploying/admitting.py"
_ADOPTING = "immutable/deploying/adopting.py"
_FOLD = "immutable/ledger/fold.py"
_LOOP = "immutable/deploying/loop.py"
_MAINTAINING = "immutable/deploying/maintaining.py"
_OPENING = "immutable/deploying/opening.py"
_RULES = "immutable/deploying/rules.py"
_UNDOING = "immutable/deploying/undoing.py"
_VIEW = "immutable/deploying/view.py"
_DEAD = Scene("the old side is dead")
_TAKEN_OVER = Scene("a deployer that dies in the bake")

MUTANTS = (
    planted(
        "a release is live though some of it is silent",
        _RULES,
        "    stay_ready,\n    keep_holding,\n    shift,",
        "    shift,",
        Scene("a server that falls silent"),
    ),
    planted(
        "a silent fleet is kept until the bake is over",
        _RULES,
        "    keep_serving,\n    hold,",
        "    hold,",
        Scene("a fleet that falls silent"),
    ),
    planted(
        "nobody is replaced under traffic",
        _RULES,
        "UNDER_TRAFFIC: tuple[Rule, ...] = (\n    obey_the_switch,\n"
        "    be_committed,\n    hold_still,\n    replace_the_dead,\n",
        "UNDER_TRAFFIC: tuple[Rule, ...] = (\n    obey_the_switch,\n"
        "    be_committed,\n    hold_still,\n",
        Scene("a server that dies in the bake"),
    ),
    planted(
        "the digest is not compared under traffic",
        _RULES,
        "    carry_the_digest,\n    join,\n    keep_serving",
        "    join,\n    keep_serving",
        Scene("a server of another image"),
    ),
    planted(
        "who takes a bake over judges by the dead one's deadline",
        _RULES,
        "    return max(held, attempt.resumed_at or held)\n",
        "    return held\n",
        _TAKEN_OVER,
    ),
    planted(
        "the validators' time ends with the bake that was missed",
        _RULES,
        "    verdict = _verdict(scene, _held_until(scene, goal) + goal.validate_timeout)\n",
        "    verdict = _verdict(scene, until + goal.validate_timeout)\n",
        _TAKEN_OVER,
    ),
    planted(
        "a validator that is lost has passed",
        _OPENING,
        "        known.get(name) or _Lost(name=name) for name in named\n",
        "        known[name] for name in named if name in known\n",
        Scene("a validator that dies with its deployer"),
    ),
    planted(
        "who takes a way back over has no time for it",
        _FOLD,
        "        aborting_at=at if attempt.aborting else None,\n",
        "",
        Scene("a deployer that dies on the way back"),
    ),
    planted(
        "who takes over inherits the failures",
        _FOLD,
        "        failures=0,\n        permanent=False,\n        steps_before",
        "        steps_before",
        Schedules(60),
    ),
    planted(
        "going back overwrites what a person has routed",
        _UNDOING,
        "    if not _is_ours(scene, goal):\n",
        "    if not goal.fleet:\n",
        Schedules(150),
    ),
    planted(
        "one living server is enough to go back to",
        _VIEW,
        "    return bool(probes) and 2 * len(ready_instances(probes)) >= len(probes)\n",
        "    return bool(probes)\n",
        Scene("an old side that stays silent"),
    ),
    planted(
        "the old side is waited for, and not revived",
        _UNDOING,
        "    return _revive(scene, goal.incumbent, goal) or Wait(",
        "    return Wait(",
        _DEAD,
    ),
    planted(
        "the old side is waited for for ever",
        _UNDOING,
        "    if scene.now >= deadline:\n        return _neither_side(scene, goal)\n",
        "",
        Scene("an old side that stays silent"),
    ),
    planted(
        "a deployment that cannot go back is over",
        _UNDOING,
        "    if routed.mentions(scene.fleet):\n        return Pause",
        "    if not routed:\n        return Pause",
        Scene("a switch that refuses the way back"),
    ),
    planted(
        "what a person opens again is closed again",
        _MAINTAINING,
        "    if not goal.closing or whole.attempt.routed is not None:\n",
        "    if not goal.closing:\n",
        Scene("a person reopens what was closed"),
    ),
    planted(
        "what is adopted need not be ready",
        _ADOPTING,
        "    if moved and goal.fleet and (unready := _ready(whole, goal, goal.fleet)):\n"
        "        return unready\n",
        "",
        Scene("an adoption of the dead"),
    ),
    planted(
        "a deploy asks for the first size again",
        _ADMITTING,
        "        size=wish.size or max(service.size, live.size if live else 0),\n",
        "        size=wish.size or service.size,\n",
        Scene("a deploy after a scale"),
        Schedules(60),
        redundant="before the shift the fleet is made as large as the one that it "
        "takes over from",
    ),
    planted(
        "a watcher that is stopped goes back",
        _LOOP,
        "        if self._leaving and self._asked.is_set():\n",
        "        if self._leaving and not self._asked:\n",
        Scene("a watcher that is told to stop"),
    ),
)
