"""Rules about what is asked for: intended first, the same again under the same token."""

from immutable.deploying.steps import (
    Attach,
    Detach,
    Effect,
    Fence,
    Freeze,
    Join,
    Launch,
    Replace,
    Resize,
    Retire,
    Route,
    Thaw,
    name_of,
)
from immutable.testing.books import Intent
from immutable.testing.calls import Request
from immutable.testing.trace import spell
from immutable.testing.violations import Judge

_Asked = tuple[str, tuple[object, ...]]
UNJOURNALLED = frozenset({"ledger.append", "images.build", "images.delete"})
"""What may be done without an intent: the ledger itself, and images."""


class Tokens:
    """Remembers what each token was first used for."""

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._used: dict[object, _Asked] = {}

    def sent(self, request: Request) -> None:
        """Judge one request.

        Raises:
            Violation: its token was used for something else before.
        """
        if not request.call.startswith("fleets."):
            return
        *about, token = request.about
        asked = (request.call, tuple(about))
        before = self._used.setdefault(token, asked)
        if before != asked:
            message = f"{token}: first {spell(before)}, then {spell(asked)}"
            raise self._judge.condemn("token", message)


def check_intended(request: Request, intent: Intent | None, judge: Judge) -> None:
    """Judge whether this is what the process has last said that it would do.

    Raises:
        Violation: it is not.
    """
    asked = _asked(request)
    intended = _intended(intent.step.step) if intent else None
    if asked != intended:
        said = spell(intended) if intended else "nothing"
        message = f"{request.process.name} asks {spell(asked)}, and intended {said}"
        raise judge.condemn("intent", message)


def _intended(step: Effect) -> _Asked:
    match step:
        case Attach(fleet=fleet, health=health, expected=expected):
            return "switch.attach", (fleet, health, expected)
        case Join(fleet=fleet, members=members, drain=drain):
            return "switch.join", (fleet, members, drain)
        case Detach(fleet=fleet, expected=expected):
            return "switch.detach", (fleet, expected)
        case (
            Route(routing=routing, expected=expected)
            | Fence(routing=routing, expected=expected)
        ):
            return "switch.write", (routing, expected)
        case _:
            return f"fleets.{name_of(step)}", _of_fleet(step)


def _of_fleet(
    step: Launch | Resize | Replace | Retire | Freeze | Thaw,
) -> tuple[object, ...]:
    match step:
        case Launch(spec=spec):
            return (spec,)
        case Resize(spec=spec, remove=remove):
            return spec, remove
        case Replace(spec=spec, instance=instance):
            return spec, instance
        case Thaw(fleet=fleet, like=like):
            return fleet, like
        case Retire(fleet=fleet) | Freeze(fleet=fleet):
            return (fleet,)


def _asked(request: Request) -> _Asked:
    """Return a request without its token, and without whom the switch obeys."""
    about = request.about
    match request.call:
        case "switch.attach":
            about = (about[0], about[1], about[3])
        case "switch.write" | "switch.detach":
            about = (about[0], about[2])
        case "switch.join":
            pass
        case _:
            about = about[:-1]
    return request.call, about
