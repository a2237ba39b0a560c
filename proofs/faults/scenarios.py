"""What is struck: calls on a service, and recoveries from a death."""

from immutable.model import Outcome
from proofs.kills.scenarios import SCENARIOS as KILLED
from proofs.kills.scenarios import Scenario, died, one_live, recover
from proofs.kills.stage import Stage

_NAMES = (
    "deploy over an incumbent",
    "deploy by steps",
    "rejected on the preview",
    "rejected in the bake",
    "rollback, warm",
    "rollback, cold",
    "scale up",
    "scale down",
    "heal",
    "sweep an orphan",
    "destroy",
    "adopt",
)


def _died_launching(stage: Stage) -> None:
    one_live(stage)
    died(stage, "after:fleets.launch")


def _died_shifting(stage: Stage) -> None:
    one_live(stage)
    died(stage, "after:switch.write", before=1)


def _settles(_stage: Stage) -> bool:
    return True


SCENARIOS = (
    *(scenario for scenario in KILLED if scenario.name in _NAMES),
    Scenario(
        name="recover, back",
        prepare=_died_launching,
        call=recover,
        decided=_settles,
        outcome=Outcome.ROLLED_BACK,
        origin=one_live,
    ),
    Scenario(
        name="recover, forward",
        prepare=_died_shifting,
        call=recover,
        decided=_settles,
        origin=one_live,
    ),
)


def named(name: str) -> Scenario:
    """Return the scenario with this name."""
    return next(scenario for scenario in SCENARIOS if scenario.name == name)
