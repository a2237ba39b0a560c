"""One path of deaths once more, with its whole trace."""

import re

from proofs.kills.ending import Allowed, come_to_rest
from proofs.kills.lives import Case, Death, Doom, live, live_on

_DOOM = re.compile(r"(\d+)([a-z]?)")


def parse(text: str) -> tuple[Doom, ...]:
    """Return the deaths that ``37,12f`` stands for; nothing stands for none.

    Raises:
        ValueError: it stands for nothing.
    """
    return tuple(_doom(part) for part in text.split(",") if part)


def _doom(text: str) -> Doom:
    found = _DOOM.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is no death: write 37, 37s, 37f or 37l")
    return Doom(int(found[1]), Death(found[2]))


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
    stage = case.stage(())
    with stage.sim:
        case.scenario.prepare(stage)
        before = come_to_rest(stage)
    return Allowed(before=before, after=live(case, ()).end)
