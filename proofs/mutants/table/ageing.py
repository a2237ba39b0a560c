"""Bugs in how long a reading is believed."""

from proofs.mutants.catchers import Scene, Schedules
from proofs.mutants.mutant import planted

_CARETAKING = "immutable/deploying/caretaking.py"
_DECIDE = "immutable/deploying/decide.py"
_ENTERING = "immutable/deploying/entering.py"
_FOLD = "immutable/ledger/fold.py"
_LOOP = "immutable/deploying/loop.py"
_MAINTAINING = "immutable/deploying/maintaining.py"
_RULES = "immutable/deploying/rules.py"
_SPOILING = "immutable/deploying/spoiling.py"
_UNDOING = "immutable/deploying/undoing.py"
_VIEW = "immutable/deploying/view.py"
_SHARES = Scene("an autoscaler at work")

MUTANTS = (
    planted(
        "a fleet once ready is believed to be ready",
        _VIEW,
        "FRESH = timedelta(seconds=1)",
        "FRESH = timedelta(hours=1)",
        Scene("a validator that takes its time"),
    ),
    planted(
        "traffic is moved however long the ledger took",
        _LOOP,
        "        if isinstance(effect, Route) and began - self._world.now > PROMPT:\n",
        "        if isinstance(effect, Route) and began < self._world.now:\n",
        Scene("a ledger that takes its time"),
    ),
    planted(
        "a proof of readiness may be old when it comes",
        _LOOP,
        "    if isinstance(fact, HealthFact) and took > PROMPT:\n",
        "    if isinstance(fact, HealthFact) and took < timedelta():\n",
        Scene("probes that take their time"),
    ),
    planted(
        "readings are never old",
        _VIEW,
        "        return max(self.backend.staleness, self.switch.staleness)\n",
        "        return timedelta()\n",
        Scene("a switch that shows old readings"),
    ),
    planted(
        "what landed last can be seen at once",
        _VIEW,
        "        return max(self.backend.late, self.switch.late) + self.staleness\n",
        "        return max(self.backend.late, self.switch.late)\n",
        Scene("a launch that is not shown yet"),
    ),
    planted(
        "after a failure old readings are not waited out",
        _DECIDE,
        "    pause = max(_BREATH * 2**attempt.failures, context.staleness)\n",
        "    pause = _BREATH * 2**attempt.failures\n",
        Scene("a switch that shows old readings"),
    ),
    planted(
        "the capacity is compared once",
        _RULES,
        "    view = scene.world.fleet(goal.incumbent, fresh=FRESH)\n    kept",
        "    view = scene.world.fleet(goal.incumbent)\n    kept",
        _SHARES,
    ),
    planted(
        "the size that the provider keeps is not looked at",
        _RULES,
        "    wanted = (view.desired_size if view else None) or kept\n",
        "    wanted = kept\n",
        _SHARES,
    ),
    planted(
        "the capacity is not compared",
        _RULES,
        "    keep_capacity,\n    shift,\n)\n",
        "    shift,\n)\n",
        _SHARES,
    ),
    planted(
        "clocks are believed to the second",
        _FOLD,
        "    if shifted is None or record.by == state.owner or",
        "    if shifted is None or record.by or",
        Scene("a clock that is behind"),
    ),
    planted(
        "one reading at the beginning is drift",
        _ENTERING,
        "    if admitting.drift(state, view, engine.ledger):\n",
        "    if not engine:\n",
        Scene("a deploy right after another"),
    ),
    planted(
        "one reading is adopted",
        _CARETAKING,
        "        engine.host.sleep(engine.switch.capabilities.staleness, engine.stop)\n"
        "        view = looking.read_switch(engine)\n        chosen",
        "        view = looking.read_switch(engine)\n        chosen",
        Scene("an adoption right after the move"),
    ),
    planted(
        "on the way back one reading is drift",
        _UNDOING,
        "        return not_yet_shown(scene) or _let_be(scene, goal)\n",
        "        return _let_be(scene, goal)\n",
        Scene("a canary whose past is shown"),
    ),
    planted(
        "a blind switch is known from what was written to it",
        _LOOP,
        '        if self._context.switch.fencing == "blind":\n'
        "            return\n        view",
        "        view",
        Scene("a person behind a blind write"),
    ),
    planted(
        "what a launch has changed is not read again",
        _SPOILING,
        "        return (FleetFact(fleet=fleet), *of_fleet)",
        "        return of_fleet",
        Scene("a launch that creates too few"),
    ),
    planted(
        "what a write has changed is not read again",
        _SPOILING,
        "    return (SwitchFact(), *of_fleet)",
        "    return of_fleet",
        Schedules(60),
        redundant="a write with the version before it is refused, and after a failure "
        "everything is read again",
    ),
    planted(
        "after a lost answer only the effect's own facts are read again",
        _LOOP,
        "            self._world = self._world.forget_all()\n            return\n        seen",
        "            pass\n        seen",
        Scene("a switch that shows old readings"),
        Schedules(60),
        redundant="an unknown answer counts as a failure, and the breath after that "
        "forgets the rest",
    ),
    planted(
        "readings that fail are counted for all facts together",
        _LOOP,
        "        del self._failed_looks[step.fact]\n",
        "        self._failed_looks.clear()\n",
        Scene("readings that fail now and then"),
        Schedules(60),
        redundant="a rule asks for the same fact until it has it, so that no other "
        "reading comes between two failures",
    ),
    planted(
        "readings that failed are never forgotten",
        _LOOP,
        "        del self._failed_looks[step.fact]\n",
        "",
        Scene("readings that fail now and then"),
    ),
    planted(
        "a fleet is revived before its last change is shown",
        _UNDOING,
        "        return shown(old) or Resize(spec=old.spec(old.size))\n",
        "        return Resize(spec=old.spec(old.size))\n",
        Scene("the old side is dead"),
        Schedules(60),
        redundant="a resize names the size that is wanted: asked for twice, it makes "
        "nothing twice",
    ),
)
