"""The verbs: what a program calls. Each opens the parts, works, and returns a value."""

import logging
from collections.abc import Iterable, Mapping
from datetime import timedelta

from immutable import calling, registry
from immutable.calling import Wanted, Watch
from immutable.deploying import operations
from immutable.deploying.interrupting import Asked
from immutable.display import listener
from immutable.durations import duration
from immutable.events import OnEvent
from immutable.examples import example
from immutable.host import Stop
from immutable.images.catalogue.opening import Ledger
from immutable.images.catalogue.wording import check_reason
from immutable.images.finding import Subject, build_image, find_image
from immutable.images.recipe import Recipe
from immutable.model import Image, InstanceLog
from immutable.observing import reading
from immutable.protocols import Backend, Validator
from immutable.results import Deployment, HistoryLine, Plan, Status
from immutable.service import Service, check_size
from immutable.strategies import Strategy

# a library says nothing unless the program has asked to hear it
logging.getLogger("immutable").addHandler(logging.NullHandler())


def build(
    recipe: Recipe,
    *,
    backend: str | Backend,
    ledger: Ledger | None = None,
    on_event: OnEvent | None = None,
    progress: bool | str = False,
) -> Image:
    """Build a recipe into an image; one that was built before costs next to nothing.

    Args:
        recipe: what to build.
        backend: where it is to run.
        ledger: whose revocations count, where the recipe begins from an image.
        on_event: gets an `Output` event for each line that the build prints.
        progress: show progress; see `deploy`.

    Returns:
        The image, whose digest covers every byte that an instance can boot from.

    Raises:
        MissingFiles: the recipe names files that are not there.
        Revoked: it begins from an image that is revoked, or was built upon one.
        Unsupported: the backend does not build images.
        BackendError: the build failed, or there is no room for it.
    """
    opened = registry.open_backend(backend)
    if ledger is not None:
        calling.check_origin(recipe, opened, ledger)
    with listener(on_event, progress) as tell:
        return build_image(opened, recipe, tell)


@example(
    """
    >>> import immutable
    >>> shop = immutable.Service("shop", backend="memory://", ports=8080)
    >>> recipe = immutable.Recipe.base("debian:12").packages("python3")
    >>> done = immutable.deploy(shop, recipe)
    >>> done.is_live, done.release.number
    (True, 1)

    A release that a validator rejects never gets a request:

    >>> broken = recipe.run("rm -r /srv")
    >>> done = immutable.deploy(shop, broken, validators=[lambda target: False])
    >>> print(done.outcome)
    rolled back
    """
)
def deploy(  # noqa: PLR0913 - each is a keyword of its own
    service: Service | Plan,
    image: Subject | None = None,
    *,
    config: Mapping[str, str] | None = None,
    size: int | None = None,
    strategy: Strategy | None = None,
    validators: Iterable[Validator] | None = None,
    on_event: OnEvent | None = None,
    cancel: Stop | None = None,
    timeout: timedelta | str | None = None,
    progress: bool | str = False,
    allow_revoked: str | None = None,
) -> Deployment:
    """Launch a whole new fleet from an image, prove it, and move traffic in one step.

    Args:
        service: what is deployed, or a `Plan` (then nothing but events, cancelling and progress).
        image: an `Image`, a `Recipe` that is built first, or a provider's image id.
        config: configuration that the instances are handed at boot. No secrets.
        size: instances, instead of the live number; the only way to lower it here.
        strategy: instead of the service's.
        validators: instead of the service's.
        on_event: gets every event of `immutable.events`, in order.
        cancel: anything with ``is_set()``; Ctrl-C goes back, too, and is raised then.
        timeout: until the commit; when it passes, everything goes back.
        progress: shown on standard error: ``"rich"``, ``"plain"``, or ``True`` chooses.
        allow_revoked: why a revoked image may be launched all the same; kept for ever.

    Returns:
        What became of it; ``raise_for_outcome()`` raises what went wrong. Where it is
        not live, production stays as it was or goes back to it, whatever failed.

    Raises:
        InvalidInput: an argument that cannot work; nothing was touched.
    """
    wanted = Wanted(config, size, strategy, validators, timeout, allow_revoked)
    watch = Watch(on_event, cancel, progress)
    return calling.deploy(service, image, wanted, watch)


def plan(
    service: Service,
    image: Subject,
    *,
    config: Mapping[str, str] | None = None,
    size: int | None = None,
    strategy: Strategy | None = None,
    validators: Iterable[Validator] | None = None,
    timeout: timedelta | str | None = None,
    allow_revoked: str | None = None,
) -> Plan:
    """Return what `deploy` with the same arguments would do, as a value.

    A recipe is built, for its digest; nothing else is changed.

    Raises:
        InvalidInput: an argument that cannot work.
        Refused, BackendError: as the deployment would be refused.

    Example:
        >>> import immutable
        >>> shop = immutable.Service("shop", backend="memory://", size=3, ports=8080)
        >>> found = immutable.plan(shop, immutable.Recipe.base("debian:12"))
        >>> [step.step for step in found.steps]
        ['attach', 'launch', 'join', 'route']
        >>> found.peak_instances
        3
    """
    wanted = Wanted(config, size, strategy, validators, timeout, allow_revoked)
    options = wanted.options(service)
    engine = calling.opened(service, options, None, Asked(None))
    return operations.plan(engine, find_image(engine.backend, image, None), options)


@example(
    """
    >>> import immutable
    >>> shop = immutable.Service("shop", backend="memory://", ports=8080)
    >>> first = immutable.Recipe.base("debian:12")
    >>> for recipe in (first, first.packages("python3")):
    ...     immutable.deploy(shop, recipe).raise_for_outcome()
    >>> immutable.rollback(shop).release.number
    1
    """
)
def rollback(
    service: Service,
    *,
    to: int | None = None,
    size: int | None = None,
    strategy: Strategy | None = None,
    validators: Iterable[Validator] | None = None,
    on_event: OnEvent | None = None,
    cancel: Stop | None = None,
    timeout: timedelta | str | None = None,
    progress: bool | str = False,
    allow_revoked: str | None = None,
) -> Deployment:
    """Make an earlier release live again: a deploy aimed at it, quick while it is warm.

    Args:
        service: what is rolled back.
        to: a release number; by default the highest earlier one that was ever live and
            is not revoked, so that calling this twice goes two releases back.
        size: as in `deploy`, and so are the rest.
        strategy: instead of the service's.
        validators: instead of the service's.
        on_event: gets every event, in order.
        cancel: anything with ``is_set()``.
        timeout: until the commit.
        progress: show progress; see `deploy`.
        allow_revoked: as in `deploy`; then no release is passed over.

    Raises:
        UnknownRelease: there is no such release, or none to go back to.
    """
    wanted = Wanted(None, size, strategy, validators, timeout, allow_revoked)
    watch = Watch(on_event, cancel, progress)
    return calling.rollback(service, to, wanted, watch)


def scale(
    service: Service,
    size: int,
    *,
    on_event: OnEvent | None = None,
    cancel: Stop | None = None,
    timeout: timedelta | str | None = None,
    progress: bool | str = False,
    allow_revoked: str | None = None,
) -> Deployment:
    """Make the live fleet another size; later deploys keep it.

    Args:
        service: whose fleet.
        size: how many instances.
        on_event: gets every event, in order.
        cancel: anything with ``is_set()``.
        timeout: until it is done; when it passes, everything goes back.
        progress: show progress; see `deploy`.
        allow_revoked: why there may be more of a revoked image; see `deploy`.

    Raises:
        InvalidInput: the size is not from 1 to 10000.
    """
    check_size(size)
    why = check_reason(allow_revoked)
    limit = None if timeout is None else duration(timeout)
    return calling.work_on(
        service,
        Watch(on_event, cancel, progress),
        lambda e: operations.scale(e, size, timeout=limit, allow_revoked=why),
    )


def heal(
    service: Service,
    *,
    on_event: OnEvent | None = None,
    cancel: Stop | None = None,
    timeout: timedelta | str | None = None,
    progress: bool | str = False,
    allow_revoked: str | None = None,
) -> Deployment:
    """Replace the live fleet's dead and unready instances by new ones of the same release.

    A revoked release is healed only if this service was allowed to launch it.

    Args:
        service: whose fleet.
        on_event: gets every event, in order.
        cancel: anything with ``is_set()``.
        timeout: until it is done.
        progress: show progress; see `deploy`.
        allow_revoked: why instances of a revoked image may be launched; see `deploy`.
    """
    limit = None if timeout is None else duration(timeout)
    why = check_reason(allow_revoked)
    return calling.work_on(
        service,
        Watch(on_event, cancel, progress),
        lambda e: operations.heal(e, timeout=limit, allow_revoked=why),
    )


def status(service: Service) -> Status:
    """Return how the service stands, as its ledger and its switch say.

    Raises:
        LedgerError, BackendError: one of them cannot be read.
    """
    return reading.status(calling.reader(service))


def history(service: Service) -> tuple[HistoryLine, ...]:
    """Return every deployment of the service, oldest first.

    Raises:
        LedgerError: the ledger cannot be read.

    Example:
        >>> import immutable
        >>> shop = immutable.Service("shop", backend="memory://", ports=8080)
        >>> done = immutable.deploy(shop, immutable.Recipe.base("debian:12"))
        >>> done = immutable.scale(shop, 3)
        >>> [(line.verb, str(line.outcome)) for line in immutable.history(shop)]
        [('deploy', 'live'), ('scale', 'live')]
    """
    return reading.history(calling.reader(service))


def logs(
    service: Service,
    *,
    release: int | None = None,
    instance: str | None = None,
    tail_bytes: int = reading.TAIL_BYTES,
) -> tuple[InstanceLog, ...]:
    """Return what instances said, those that are gone included.

    Args:
        service: whose instances.
        release: only those of this release.
        instance: only this one.
        tail_bytes: so much of the end of each log.

    Raises:
        UnknownRelease: the ledger knows of no such release.
    """
    return reading.logs(
        calling.reader(service),
        release=release,
        instance=instance,
        tail_bytes=tail_bytes,
    )
