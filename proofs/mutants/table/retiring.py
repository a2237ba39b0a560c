"""Bugs in getting rid of what is not needed any more, and of nothing else."""

from proofs.mutants.catchers import Kills, Scene, Schedules, Stateful
from proofs.mutants.mutant import planted

_ADMITTING = "immutable/deploying/admitting.py"
_FINDING = "immutable/deploying/finding.py"
_FLEETS = "immutable/testing/fleets.py"
_FOLD = "immutable/ledger/fold.py"
_MAINTAINING = "immutable/deploying/maintaining.py"
_OPERATIONS = "immutable/deploying/operations.py"
_RUNNING = "immutable/deploying/running.py"
_EXPIRED = "tidy an expired standby"

MUTANTS = (
    planted(
        "the fleet goes before its place",
        _MAINTAINING,
        "    if view.attachment_of(fleet) is None:\n        return _destroy(whole, fleet)\n",
        "    if fleet not in whole.attempt.retired:\n        return _destroy(whole, fleet)\n",
        Kills(_EXPIRED),
    ),
    planted(
        "what has traffic is retired",
        _MAINTAINING,
        "    unused = [name for name in left if not view().routing.mentions(name)]\n",
        "    unused = list(left)\n",
        Schedules(150),
        Kills("destroy"),
        redundant="the switch refuses to take away a place that has traffic, and "
        "nothing is destroyed while it has a place",
    ),
    planted(
        "what a person has routed is a tombstone",
        _RUNNING,
        "    fleets = tuple(name for name in fleets if not view.routing.mentions(name))\n",
        "",
        Stateful(60),
        Schedules(150),
    ),
    planted(
        "nobody looks a second time",
        _MAINTAINING,
        "    return since if since is not None and late and now >= since + late else None\n",
        "    return None\n",
        Scene("a launch that comes when all is over"),
    ),
    planted(
        "a doubt about a launch is not noted",
        _FOLD,
        "    return evolved(evolve_fleets(state, (step.fleet,), changed_at=at), doubted_at=at)\n",
        "    return evolve_fleets(state, (step.fleet,), changed_at=at)\n",
        Scene("a resize that is delivered twice"),
    ),
    planted(
        "the ledger's id is not looked at",
        _FLEETS,
        """\
            {("immutable-service", str(service)), ("immutable-ledger", str(ledger))}
""",
        """\
            {("immutable-service", str(service))}
""",
        Schedules(100),
    ),
    planted(
        "what the ledger answers for is swept",
        _FINDING,
        "sorted(name for name in strangers - known if not view.routing.mentions(name))",
        "sorted(name for name in strangers if not view.routing.mentions(name))",
        Stateful(40),
    ),
    planted(
        "a tombstone is adopted",
        _ADMITTING,
        "    if entry.status is FleetStatus.RETIRING:\n        raise",
        "    if entry.status is FleetStatus.NEW:\n        raise",
        Scene("a person names a tombstone"),
    ),
    planted(
        "older routings are not waited for",
        _MAINTAINING,
        "    if whole.world.now >= until:\n        return None\n    pause = min(_PATIENCE",
        "    if whole.world.now:\n        return None\n    pause = min(_PATIENCE",
        Schedules(100),
    ),
    planted(
        "requests are cut off",
        _MAINTAINING,
        "    if not sessions or whole.world.now >= drained_by:\n",
        "    if sessions is not None or whole.world.now >= drained_by:\n",
        Scene("requests that take a while"),
    ),
    planted(
        "a server goes before it has left the traffic",
        _MAINTAINING,
        "    if scene.joined() - set(staying):\n",
        "    if not scene.joined():\n",
        Scene("a smaller fleet"),
    ),
    planted(
        "the standby before stays for ever",
        _FOLD,
        """\
    if state.standby is not None and state.standby.name != live:
        state = mark(state, FleetStatus.RETIRING, state.standby.name)
""",
        "",
        Stateful(40),
    ),
)
