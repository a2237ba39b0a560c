"""One path of deaths once more, with its whole trace."""

from proofs.kills.dooms import Doom
from proofs.kills.ending import Allowed
from proofs.kills.lives import Case, before, live, live_on


def replay(case: Case, path: tuple[Doom, ...]) -> str:
    """Return the trace of one life, and what broke in it."""
    stage = case.stage(path)
    try:
        with stage.sim:
            life = live_on(stage, case, path, ends(case))
        said = f"ended as it must: {life.end}"
    # whatever broke is what is to be seen
    except Exception as exc:  # noqa: BLE001 - it is shown, with all that led to it
        said = f"{type(exc).__name__}: {exc}"
    finally:
        stage.sim.close()
    return f"{stage.sim.trace.text()}\n\n{said}"


def ends(case: Case) -> Allowed:
    """Return the two ends that a case may have."""
    return Allowed(before=before(case), after=live(case, ()).end)
