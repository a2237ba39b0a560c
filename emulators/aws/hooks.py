"""The one place where moto is patched: an operation gets a handler in front of moto's.

A handler sees the call's parameters, may refuse it, may answer it by itself, and may let
moto answer and change what comes of it. Nothing else of moto is replaced, except what
``install`` says.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from types import ModuleType
from typing import TYPE_CHECKING

import attrs
from moto.autoscaling.responses import AutoScalingResponse
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse, EmptyResult
from moto.core.utils import camelcase_to_underscores
from moto.ec2.responses import EC2Response
from moto.elbv2.responses import ELBV2Response
from moto.iam.responses import IamResponse
from moto.servicequotas.responses import ServiceQuotasResponse

from emulators.aws.fast import remember
from emulators.aws.params import Params
from emulators.aws.repairs import repair

if TYPE_CHECKING:
    from emulators.aws.world import World

MOTO = "5.2.5"
"""The version whose classes are known. Another one is refused: its inside may differ."""

_RESPONSES: Mapping[str, type[BaseResponse]] = {
    "autoscaling": AutoScalingResponse,
    "ec2": EC2Response,
    "elbv2": ELBV2Response,
    "iam": IamResponse,
    "service-quotas": ServiceQuotasResponse,
}


class UnknownMotoError(Exception):
    """The installed moto is not the one that the handlers were written for."""


class NotModelledError(Exception):
    """Every handler leaves a call to moto, and moto does not know it: a gap of ours."""


@attrs.frozen(kw_only=True)
class Call:
    """One call of one operation."""

    world: "World"
    operation: str
    account: str
    region: str
    params: Params
    response: BaseResponse
    proceed: Callable[[], object]
    """Let the next handler answer, or moto."""

    def put(self, name: str, value: object) -> None:
        """Change a parameter for whoever answers after this handler."""
        self.response.params[name] = value

    def stop_if_dry(self) -> None:
        """Go no further if the caller wants no effect.

        Source: botocore, ``DryRun``: *"If you have the required permissions, the error
        response is DryRunOperation."*
        """
        if self.params.flag("DryRun"):
            message = "Request would have succeeded, but DryRun flag is set."
            raise refuse("DryRunOperation", message)

    def at(self, delay_s: float, deed: Callable[[], None]) -> None:
        """Have something done after a delay."""
        self.world.agenda.later(delay_s, deed)


Handler = Callable[[Call], object]
_HANDLERS: dict[tuple[str, str], list[Handler]] = {}


def handles(service: str, *operations: str) -> Callable[[Handler], Handler]:
    """Put a function in front of operations."""

    def note(handler: Handler) -> Handler:
        for operation in operations:
            _HANDLERS.setdefault((service, operation), []).append(handler)
        return handler

    return note


class Refusal(ServiceException):
    """An error of AWS's. moto looks for the model of its own exceptions by their module."""


def refuse(code: str, message: str) -> ServiceException:
    """Return an error of AWS's, to be raised."""
    return Refusal(code, message)


def tell(resource: object, **members: object) -> None:
    """Have answers about one of moto's resources tell more than moto knows of it.

    moto answers with an object's attributes, by the names that the service's model has.
    """
    for name, value in members.items():
        setattr(resource, name, value)


def result_of(answer: object) -> Mapping[str, object]:
    """Return what moto has answered, by member of the output's shape."""
    found = answer.result if isinstance(answer, ActionResult) else answer
    return found if isinstance(found, Mapping) else {}


def install(world: "World", modules: Sequence[ModuleType]) -> None:
    """Put every handler in its place; those of the first module are asked first.

    Raises:
        UnknownMotoError: the installed moto is another version.
    """
    found = version("moto")
    if found != MOTO:
        raise UnknownMotoError(f"moto {found} is installed; {MOTO} is known")
    names = [module.__name__ for module in modules]
    for (service, operation), handlers in _HANDLERS.items():
        ordered = sorted(handlers, key=lambda each: names.index(each.__module__))
        _put(world, _RESPONSES[service], operation, tuple(ordered))
    remember()
    repair()


def _put(
    world: "World",
    response: type[BaseResponse],
    operation: str,
    handlers: tuple[Handler, ...],
) -> None:
    name = camelcase_to_underscores(operation)
    original: Callable[[BaseResponse], object] | None = getattr(response, name, None)

    def answer(self: BaseResponse) -> object:
        return _result(_ask(world, operation, self, handlers, original))

    answer.__name__ = name
    setattr(response, name, answer)


def _ask(
    world: "World",
    operation: str,
    response: BaseResponse,
    handlers: tuple[Handler, ...],
    original: Callable[[BaseResponse], object] | None,
) -> object:
    if not handlers:
        if original is None:
            raise NotModelledError(f"{operation}: neither moto nor a handler")
        return original(response)

    def proceed() -> object:
        return _ask(world, operation, response, handlers[1:], original)

    call = Call(
        world=world,
        operation=operation,
        account=response.current_account,
        region=response.region,
        params=Params(_params_of(response)),
        response=response,
        proceed=proceed,
    )
    return handlers[0](call)


def _params_of(response: BaseResponse) -> Mapping[str, object]:
    if response.automated_parameter_parsing:
        named: Mapping[str, object] = response.params
        return named
    found: object = json.loads(response.body or "{}")
    return found if isinstance(found, dict) else {}


def _result(answer: object) -> object:
    if answer is None:
        return EmptyResult()
    return ActionResult(answer) if isinstance(answer, dict) else answer
