"""From a call's arguments to an engine that works: what the verbs have in common."""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import TypeVar

from immutable.deploying import looking, operations, running
from immutable.deploying.engine import Engine
from immutable.deploying.interrupting import Asked, uninterrupted
from immutable.deploying.opening import open_engine, with_validators
from immutable.deploying.operations import Head
from immutable.display import listener
from immutable.durations import duration
from immutable.errors import BackendError, InvalidInput, Refused
from immutable.events import OnEvent
from immutable.host import Stop
from immutable.images.catalogue.checking import check_not_revoked
from immutable.images.catalogue.opening import Ledger, open_catalogue
from immutable.images.catalogue.wording import check_reason
from immutable.images.finding import Subject, find_image
from immutable.images.origins import Existing
from immutable.images.recipe import Recipe
from immutable.model import pairs
from immutable.protocols import Backend, Validator
from immutable.results import Deployment, Plan
from immutable.service import (
    Options,
    Service,
    check_service,
    check_size,
    check_validators,
)
from immutable.strategies import Strategy

_T = TypeVar("_T")


def work_on(
    service: Service,
    on_event: OnEvent | None,
    cancel: Stop | None,
    progress: bool | str,  # noqa: FBT001 - passed on as it was given
    work: Callable[[Engine], _T],
) -> _T:
    """Open a service's parts and work on them to the work's own end."""
    asked = Asked(cancel)
    with listener(on_event, progress) as tell:
        engine = open_engine(service, tell=tell, stop=asked)
        return uninterrupted(engine.host, lambda: work(engine), asked)


def reader(service: Service) -> Engine:
    """Open a service's parts for reading."""
    return open_engine(service, tell=None, stop=Asked(None))


def opened(
    service: Service, options: Options, tell: OnEvent | None, asked: Asked
) -> Engine:
    """Open a service's parts with what a call was given instead of the service's own."""
    engine = open_engine(service, tell=tell, stop=asked)
    return with_validators(engine, options.validators, options.strategy)


def options_of(
    service: Service,
    config: Mapping[str, str] | None,
    size: int | None,
    strategy: Strategy | None,
    validators: Iterable[Validator] | None,
    timeout: timedelta | str | None,
    allow_revoked: str | None,
) -> Options:
    """Return what a call was given, checked, with the service's own where it was not.

    Raises:
        InvalidInput: one of them cannot work.
    """
    service = check_service(service)
    return Options(
        configuration=pairs(_checked(config or {})),
        size=None if size is None else check_size(size),
        strategy=strategy or service.strategy,
        validators=service.validators
        if validators is None
        else check_validators(validators),
        timeout=None if timeout is None else duration(timeout),
        allow_revoked=check_reason(allow_revoked),
    )


def _checked(config: Mapping[str, str]) -> Mapping[str, str]:
    items: list[tuple[object, object]] = list(config.items())
    bad = [k for k, v in items if not (isinstance(k, str) and k and isinstance(v, str))]
    if bad:
        raise InvalidInput(
            f"config {bad[0]!r} is no text", hint="give text for each name"
        )
    return config


def deploy_image(
    engine: Engine, subject: Subject | None, options: Options, asked: Asked
) -> Deployment:
    """Find or build the image, then deploy it; look at the switch before a long build."""
    began = engine.host.now()
    try:
        looking.ask(engine, engine.switch.preflight)
        _check_base(engine, subject, options)
        image = find_image(engine.backend, subject, engine.tell)
    except (BackendError, Refused) as exc:
        return running.refused(engine, "deploy", exc, began=began)
    return uninterrupted(
        engine.host, lambda: operations.deploy(engine, image, options), asked
    )


def deploy_plan(
    made: Plan, image: Subject | None, tell: OnEvent, asked: Asked
) -> Deployment:
    """Deploy what a plan was made for, unless the world has moved since.

    Raises:
        InvalidInput: another image is given.
    """
    if image is not None:
        raise InvalidInput("a plan has its image already", hint="leave the image out")
    engine = opened(made.service, made.options, tell, asked)
    head = Head(ledger=made.ledger_head, switch=made.switch_version)
    return uninterrupted(
        engine.host,
        lambda: operations.deploy(engine, made.release.image, made.options, head=head),
        asked,
    )


def check_origin(recipe: Recipe, backend: Backend, ledger: Ledger) -> None:
    """Refuse to build upon an image that is revoked, by what a ledger says.

    Raises:
        Revoked: it is revoked, or was built upon one that is.
        UnknownImage: it is not there.
    """
    if isinstance(recipe.origin, Existing):
        opened = open_catalogue(ledger, backend)
        image, known = opened.meant(recipe.origin.image), opened.shelf.load()
        check_not_revoked(known, image, opened.ancestors(image), who="build")


def _check_base(engine: Engine, subject: Subject | None, options: Options) -> None:
    """Refuse to build upon an image that is revoked, before anything is built."""
    origin = subject.origin if isinstance(subject, Recipe) else None
    if isinstance(origin, Existing):
        image = find_image(engine.backend, origin.image, None)
        override, name = options.allow_revoked, engine.service.name
        engine.guard.check(image, service=name, override=override)
