"""Bugs in what a fleet has to prove before it gets traffic."""

from proofs.mutants.catchers import Kills, Scene, Schedules, Stateful
from proofs.mutants.mutant import planted

_ADMITTING = "immutable/deploying/admitting.py"
_LOOP = "immutable/deploying/loop.py"
_RULES = "immutable/deploying/rules.py"
_VIEW = "immutable/deploying/view.py"
_INCUMBENT = "deploy over an incumbent"
_ALL = "len(ready_instances(probes)) == len(probes)"

MUTANTS = (
    planted(
        "no probe yet counts as ready",
        _VIEW,
        "if probe.health is Health.READY)",
        "if probe.health is not Health.UNREADY)",
        Schedules(20),
    ),
    planted(
        "one ready instance is enough",
        _VIEW,
        f"return len(probes) >= max(size, 1) and {_ALL}\n",
        "return bool(ready_instances(probes))\n",
        Schedules(150),
    ),
    planted(
        "the digest is not compared",
        _RULES,
        "i.id for i in scene.alive() if not i.digest or not digest.startswith(i.digest)",
        "i.id for i in scene.alive() if not digest",
        Stateful(20),
    ),
    planted(
        "validators are not asked on the preview route",
        _RULES,
        "    preview,\n    validate,\n",
        "    preview,\n",
        Stateful(20),
    ),
    planted(
        "no bake",
        _RULES,
        "    if not held:\n",
        "    if held is not None:\n",
        Kills("rejected in the bake"),
    ),
    planted(
        "a failed bake is committed",
        _RULES,
        "    if scene.now >= until or isinstance(verdict, Abort):\n        return verdict\n",
        "    if scene.now >= until or isinstance(verdict, Abort):\n        return None\n",
        Kills("rejected in the bake"),
    ),
    planted(
        "undecided counts as passed",
        _RULES,
        "    if not open_:\n        return None\n",
        "    if not failed:\n        return None\n",
        Scene("a validator that cannot decide"),
    ),
)
