"""From a call's arguments to an engine that works: what the verbs have in common."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import attrs

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


@attrs.frozen
class Watch:
    """Who hears of a call, who may stop it, and how its progress is shown."""

    on_event: OnEvent | None
    cancel: Stop | None
    progress: bool | str

    @contextmanager
    def begun(self) -> Iterator[tuple[OnEvent, Asked]]:
        """Yield whom to tell of events, and what asks to stop, while the call lasts."""
        with listener(self.on_event, self.progress) as tell:
            yield tell, Asked(self.cancel)


def work_on(service: Service, watch: Watch, work: Callable[[Engine], _T]) -> _T:
    """Open a service's parts and work on them to the work's own end."""
    with watch.begun() as (tell, asked):
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


@attrs.frozen
class Wanted:
    """What one call was given, as it was given; None stands for the service's own."""

    config: Mapping[str, str] | None
    size: int | None
    strategy: Strategy | None
    validators: Iterable[Validator] | None
    timeout: timedelta | str | None
    allow_revoked: str | None

    def options(self, service: Service) -> Options:
        """Return it checked, with the service's own where nothing was given.

        Raises:
            InvalidInput: something cannot work.
        """
        service, given = check_service(service), self.validators
        return Options(
            configuration=pairs(_checked(self.config or {})),
            size=None if self.size is None else check_size(self.size),
            strategy=self.strategy or service.strategy,
            validators=service.validators if given is None else check_validators(given),
            timeout=None if self.timeout is None else duration(self.timeout),
            allow_revoked=check_reason(self.allow_revoked),
        )


def _checked(config: Mapping[str, str]) -> Mapping[str, str]:
    items: list[tuple[object, object]] = list(config.items())
    bad = [k for k, v in items if not (isinstance(k, str) and k and isinstance(v, str))]
    if bad:
        raise InvalidInput(
            f"config {bad[0]!r} is no text", hint="give text for each name"
        )
    return config


def deploy(
    service: Service | Plan, image: Subject | None, wanted: Wanted, watch: Watch
) -> Deployment:
    """Deploy an image, or what a plan was made for.

    Raises:
        InvalidInput: something that was given cannot work.
    """
    with watch.begun() as (tell, asked):
        if isinstance(service, Plan):
            return _deploy_plan(service, image, tell, asked)
        options = wanted.options(service)
        engine = opened(service, options, tell, asked)
        return _deploy_image(engine, image, options, asked)


def _deploy_image(
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


def _deploy_plan(
    made: Plan, image: Subject | None, tell: OnEvent, asked: Asked
) -> Deployment:
    if image is not None:
        raise InvalidInput("a plan has its image already", hint="leave the image out")
    engine = opened(made.service, made.options, tell, asked)
    head = Head(ledger=made.ledger_head, switch=made.switch_version)
    return uninterrupted(
        engine.host,
        lambda: operations.deploy(engine, made.release.image, made.options, head=head),
        asked,
    )


def rollback(
    service: Service, to: int | None, wanted: Wanted, watch: Watch
) -> Deployment:
    """Make an earlier release live again.

    Raises:
        InvalidInput: something that was given cannot work.
        UnknownRelease: there is no such release.
    """
    with watch.begun() as (tell, asked):
        options = wanted.options(service)
        engine = opened(service, options, tell, asked)
        return uninterrupted(
            engine.host, lambda: operations.rollback(engine, to, options), asked
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
