"""Bugs in going back."""

from proofs.mutants.catchers import Faults, Kills, Scene, Schedules, Stateful
from proofs.mutants.mutant import planted

_DECIDE = "immutable/deploying/decide.py"
_FOLD = "immutable/ledger/fold.py"
_UNDOING = "immutable/deploying/undoing.py"
_INCUMBENT = "deploy over an incumbent"
_BAKE = "rejected in the bake"

MUTANTS = (
    planted(
        "going back leaves the traffic where it is",
        _UNDOING,
        "            back = _restore(scene, goal) or undone(scene, goal)\n",
        "            back = undone(scene, goal)\n",
        Kills(_BAKE),
    ),
    planted(
        "going back to a side that nobody has looked at",
        _UNDOING,
        "    if weights != view.routing.weights and (unproven",
        "    if weights == view.routing.weights and (unproven",
        Scene("the old side is dead"),
        Schedules(150),
    ),
    planted(
        "the preview route is left on",
        _UNDOING,
        "    if not view.routing.mentions(scene.fleet):\n        return None\n    if not _is_ours",
        "    if not view.routing.weight_of(scene.fleet):\n        return None\n    if not _is_ours",
        Kills("rejected on the preview"),
    ),
    planted(
        "the new fleet is left over",
        _UNDOING,
        "    return part_with(scene, scene.fleet, drained_by=drained_by)\n",
        "    return _ended(scene)\n",
        Kills("rejected on the preview"),
        Kills(_BAKE, "blind"),
        Stateful(20),
        redundant="it is a tombstone since the deployment turned back, and the tidying "
        "after every call retires those",
    ),
    planted(
        "a fleet that was turned back is no tombstone",
        _FOLD,
        """\
    if isinstance(goal, DeployGoal) and not goal.reused:
        state = mark(state, FleetStatus.RETIRING, goal.fleet)
""",
        "",
        Schedules(150),
    ),
    planted(
        "a failed deploy takes the standby with it",
        _FOLD,
        "        state = mark(state, FleetStatus.RETIRING, goal.fleet)\n",
        """\
        standby = (state.standby.name,) if state.standby else ()
        state = mark(state, FleetStatus.RETIRING, goal.fleet, *standby)
""",
        Stateful(40),
    ),
    planted(
        "evidence is collected when nothing is left of it",
        _UNDOING,
        "    if scene.context.backend.keeps_logs:\n        scene.world.evidence(scene.fleet)\n",
        "",
        Scene("what a failed deploy says of itself"),
    ),
    planted(
        "what died early goes on",
        _DECIDE,
        "    if attempt.stage == len(goal.stages) - 1:\n        return None\n",
        "    return None\n",
        Kills(_INCUMBENT),
    ),
    planted(
        "what died late goes back",
        _DECIDE,
        "    if attempt.stage == len(goal.stages) - 1:\n        return None\n",
        "",
        Kills(_INCUMBENT),
    ),
    planted(
        "a takeover forgets the stage",
        _FOLD,
        "        resumed_at=at,\n",
        "        resumed_at=at,\n        stage=-1,\n",
        Kills(_INCUMBENT),
    ),
    planted(
        "a scale that is half-way down is left there",
        _UNDOING,
        "        settled = scale(scene, goal) if scene.entry.size == goal.size else None\n",
        "        settled = None\n",
        Kills("scale down"),
        Faults("scale down"),
    ),
    planted(
        "a stop is not heard",
        _DECIDE,
        "    if world.stop is not None:\n        return world.stop\n",
        "",
        Scene("a caller who asks to stop"),
    ),
)
