"""Bugs in who may change a fleet: its provider, or nobody while it is judged."""

from proofs.mutants.catchers import Kills, Scene, Schedules
from proofs.mutants.mutant import Edit, Mutant, planted

_FINDING = "immutable/deploying/finding.py"
_FLEETS = "immutable/testing/fleets.py"
_FOLD = "immutable/ledger/fold.py"
_FREEZING = "immutable/deploying/freezing.py"
_MAINTAINING = "immutable/deploying/maintaining.py"
_RULES = "immutable/deploying/rules.py"
_TRAFFIC = "immutable/testing/traffic.py"
_UNDOING = "immutable/deploying/undoing.py"
_SCHEDULES = Schedules(300, groups=True)
_BAKE = Kills("rejected in the bake", groups=True)
_LATE = (
    Edit(
        _RULES,
        "    freeze_what_serves,\n    keep_capacity,\n    shift,\n",
        "    keep_capacity,\n    shift,\n",
    ),
    Edit(
        _RULES,
        "    obey_the_switch,\n    be_committed,\n",
        "    obey_the_switch,\n    freeze_what_serves,\n    be_committed,\n",
    ),
)

MUTANTS = (
    planted(
        "what was frozen stays so when the deploy is turned back",
        _UNDOING,
        "            back = _restore(scene, goal) or undone(scene, goal)\n",
        "            back = _restore(scene, goal)\n",
        _BAKE,
    ),
    planted(
        "a takeover forgets what was frozen",
        _FOLD,
        "        resumed_at=at,\n",
        "        resumed_at=at,\n        froze=(),\n",
        _BAKE,
        redundant="recovery looks for what is not held as it is to be, and mends it",
    ),
    Mutant(
        name="what serves is frozen when the traffic has moved",
        edits=_LATE,
        catchers=(_SCHEDULES,),
    ),
    Mutant(
        name="… and nobody looks whether it is frozen",
        edits=(
            *_LATE,
            Edit(_TRAFFIC, "        self.holding.shifted(goal, span_us)\n", ""),
        ),
        catchers=(_SCHEDULES,),
    ),
    planted(
        "the size is looked at before the freeze",
        _RULES,
        "    freeze_what_serves,\n    keep_capacity,\n    shift,\n",
        "    keep_capacity,\n    freeze_what_serves,\n    shift,\n",
        _SCHEDULES,
        redundant="the freeze spoils what was read of the fleet, and after every effect "
        "the rules begin anew",
    ),
    planted(
        "the new side is let go before the shift",
        _RULES,
        "    keep_capacity,\n    shift,\n",
        "    keep_capacity,\n    thaw_the_new,\n    shift,\n",
        _SCHEDULES,
    ),
    planted(
        "fleets are not frozen when they are launched",
        _FLEETS,
        "Group(most=spec.size)",
        "Group(frozen=False, most=spec.size)",
        _SCHEDULES,
    ),
    planted(
        "the new side is never let go",
        _RULES,
        "    shift,\n    thaw_the_new,\n)",
        "    shift,\n)",
        _SCHEDULES,
    ),
    planted(
        "the standby is let go, too",
        _FREEZING,
        "    if scene.fleet in scene.attempt.thawed:\n        return Finish",
        "    if goal.incumbent in scene.attempt.froze:\n"
        "        return Thaw(fleet=goal.incumbent or scene.fleet)\n"
        "    if scene.fleet in scene.attempt.thawed:\n        return Finish",
        _SCHEDULES,
    ),
    planted(
        "a standby that was let go stays so when it is turned back",
        _FREEZING,
        "    if goal.reused and scene.fleet in scene.attempt.thawing:\n"
        "        return Freeze(fleet=scene.fleet)\n",
        "",
        Scene("a standby that is not let go for sure"),
    ),
    planted(
        "the rules by which a fleet is scaled are lost",
        _FREEZING,
        "    return Thaw(fleet=scene.fleet, like=goal.incumbent)\n",
        "    return Thaw(fleet=scene.fleet)\n",
        _SCHEDULES,
    ),
    planted(
        "what a person has frozen is let go",
        _FREEZING,
        "    if goal.incumbent is not None and goal.incumbent in scene.attempt.froze:\n",
        "    done = scene.attempt.thawed\n"
        "    if goal.incumbent is not None and goal.incumbent not in done:\n",
        _SCHEDULES,
    ),
    planted(
        "a freeze that comes late is not looked for",
        _FINDING,
        "        return surplus or is_astray(entry, found) or bool(alive - members)\n",
        "        return surplus or bool(alive - members)\n",
        Scene("a freeze that comes late"),
    ),
    planted(
        "a reading from before the fleet was let go is believed",
        _FREEZING,
        "    return _seen_since(old, entry.thawed_at)\n",
        "    return None\n",
        Scene("a reading of a fleet that was frozen once"),
    ),
    planted(
        "healing makes smaller what its provider has scaled",
        _MAINTAINING,
        "    size, thawed = scene.size, scene.is_thawed\n",
        "    size, thawed = scene.entry.size, False\n",
        Scene("healing what its provider has scaled"),
    ),
    planted(
        "a deploy gives up with what serves still frozen",
        _UNDOING,
        "    if incumbent in scene.attempt.froze:\n",
        "    if incumbent in ():\n",
        Scene("a provider that does not let go"),
    ),
)
