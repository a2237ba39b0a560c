"""Bugs in what is done about a write that may still be in flight."""

from proofs.kills.exploring import Extent
from proofs.mutants.catchers import Faults, Kills, Schedules
from proofs.mutants.mutant import planted

_ACTING = "immutable/deploying/acting.py"
_DECIDE = "immutable/deploying/decide.py"
_FOLD = "immutable/ledger/fold.py"
_LOOP = "immutable/deploying/loop.py"
_INCUMBENT = "deploy over an incumbent"
_LANDINGS = Extent(landings=True)

MUTANTS = (
    planted(
        "a lost answer of the switch is a failure",
        _LOOP,
        "            return Result.UNKNOWN, exc\n        except ImmutableError",
        "            return Result.NOT_APPLIED, exc\n        except ImmutableError",
        Faults(_INCUMBENT),
        Schedules(150),
    ),
    planted(
        "a lost answer of the switch is a success",
        _LOOP,
        "            return Result.UNKNOWN, exc\n        except ImmutableError",
        "            return Result.APPLIED, exc\n        except ImmutableError",
        Faults(_INCUMBENT),
        Schedules(150),
    ),
    planted(
        "recovery believes the switch without a fence",
        _FOLD,
        "        resumed_at=at,\n",
        "        resumed_at=at,\n        unfenced_at=None,\n",
        Kills("rollback, warm", "compare-and-set", _LANDINGS),
        Kills(_INCUMBENT, "blind", _LANDINGS),
    ),
    planted(
        "a fence of the version before",
        _DECIDE,
        "    return Fence(fleet=fleet, routing=view.routing, expected=view.version)\n",
        """\
    step = attempt.suspect.step if attempt.suspect else None
    expected = step.expected if isinstance(step, Route) else view.version
    return Fence(fleet=fleet, routing=view.routing, expected=expected)
""",
        Kills(_INCUMBENT),
    ),
    planted(
        "no quarantine on a blind switch",
        _DECIDE,
        """    if context.switch.fencing == "blind":\n        until""",
        """    if context.switch.fencing == "never":\n        until""",
        Kills(_INCUMBENT, "blind", _LANDINGS),
    ),
    planted(
        "a quarantine too short",
        _DECIDE,
        "until = since + context.switch.late + context.switch.staleness",
        "until = since + context.switch.late / 10",
        Kills(_INCUMBENT, "blind", _LANDINGS),
    ),
    planted(
        "what is in flight is forgotten at a takeover",
        _FOLD,
        "        _unfenced(attempt, attempt.pending, at),\n",
        "        _unfenced(attempt, None, at),\n",
        Kills(_INCUMBENT),
    ),
    planted(
        "what is in doubt is always there",
        _DECIDE,
        "applied=world.switch().routing == wanted)",
        "applied=True)",
        Kills(_INCUMBENT),
        redundant="the next look at the switch disagrees with what was believed to be "
        "routed, and the deployment turns back",
    ),
    planted(
        "what is in doubt is never there",
        _DECIDE,
        "applied=world.switch().routing == wanted)",
        "applied=False)",
        Kills(_INCUMBENT),
    ),
    planted(
        "a place is taken away without comparing",
        _ACTING,
        "            return switch.detach(fleet, owner=ledger, expected=expected)\n",
        """\
            version = switch.read().version
            return switch.detach(fleet, owner=ledger, expected=version)
""",
        Schedules(150),
    ),
    planted(
        "traffic is moved without comparing",
        _ACTING,
        "            return switch.write(routing, owner=ledger, expected=expected)\n",
        """\
            version = switch.read().version
            return switch.write(routing, owner=ledger, expected=version)
""",
        Schedules(150),
    ),
)
