"""Bugs in when to give up, and when not yet."""

from proofs.mutants.catchers import Scene
from proofs.mutants.mutant import planted

_DECIDE = "immutable/deploying/decide.py"
_LOOP = "immutable/deploying/loop.py"
_RULES = "immutable/deploying/rules.py"

MUTANTS = (
    planted(
        "the dead are replaced without end",
        _RULES,
        "    if len(scene.attempt.replaced) >= REPLACEMENTS:\n",
        "    if len(scene.attempt.replaced) < 0:\n",
        Scene("servers that all die"),
    ),
    planted(
        "what fails is tried without end",
        _DECIDE,
        "    return attempt.failures >= TRIES or taken",
        "    return taken",
        Scene("a launch that is always refused"),
    ),
    planted(
        "steps are taken without end",
        _DECIDE,
        "attempt.failures >= TRIES or taken >= (UNDOS if attempt.aborting else STEPS)",
        "attempt.failures >= TRIES",
        Scene("a launch that creates nothing"),
    ),
    planted(
        "a fleet in part is a fleet",
        _RULES,
        "    if len(scene.instances()) >= scene.size:\n        return None\n    spec =",
        "    if scene.instances():\n        return None\n    spec =",
        Scene("a launch that creates too few"),
    ),
    planted(
        "a fleet that is never ready is waited for",
        _RULES,
        "    if scene.now >= deadline:\n        return _not_ready",
        "    if scene.now < scene.attempt.begun_at:\n        return _not_ready",
        Scene("a fleet that is never ready"),
    ),
    planted(
        "a validator that never decides is waited for",
        _RULES,
        "    if scene.now >= deadline:\n        return _rejected",
        "    if scene.now < scene.attempt.begun_at:\n        return _rejected",
        Scene("validators that never decide"),
    ),
    planted(
        "who waits lets the lease go",
        _LOOP,
        "        if until is None or until - self._world.now < LEASE / 2:\n",
        "        if until is None:\n",
        Scene("servers that boot for long"),
    ),
)
