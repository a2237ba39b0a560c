"""The verbs between deployments: finish, watch, adopt, restore, sweep, end.

Each opens the parts, works, and returns a value, as those in `immutable.api` do.
"""

from datetime import timedelta
from typing import overload

from immutable import registry
from immutable.calling import Watch, work_on
from immutable.deploying import caretaking, clearing, operations
from immutable.deploying.engine import Engine
from immutable.durations import duration
from immutable.events import OnEvent
from immutable.host import Stop
from immutable.images.finding import recorder
from immutable.protocols import Backend
from immutable.results import Deployment
from immutable.service import Service


def recover(
    service: Service, *, on_event: OnEvent | None = None, progress: bool | str = False
) -> Deployment:
    """Finish what a dead deployer left: wholly back, or wholly forward.

    Refused while a deployer may be at work. Doing it twice is doing it once.
    """
    return work_on(service, Watch(on_event, None, progress), operations.recover)


def watch(
    service: Service,
    *,
    every: timedelta | str = "10s",
    heal: bool = False,
    cancel: Stop | None = None,
    on_event: OnEvent | None = None,
    progress: bool | str = False,
) -> None:
    """Keep at it until asked to stop: finish what dead deployers leave, retire what is due.

    Any number of watchers may run, anywhere that the ledger can be reached. What fails
    is told as an event and tried again in the next round. A deployment that it is
    finishing when asked to stop is left open, for the next to go on.

    Args:
        service: what is watched.
        every: the pause between two looks.
        heal: replace dead and unready instances, too.
        cancel: anything with ``is_set()``; Ctrl-C stops, too, and is raised.
        on_event: gets every event, in order.
        progress: show progress; see `deploy`.
    """
    pause = duration(every)

    def tend(engine: Engine) -> None:
        caretaking.keep_tending(engine, every=pause, healing=heal, asked=engine.stop)

    work_on(service, Watch(on_event, cancel, progress), tend)


def adopt(
    service: Service,
    *,
    fleet: str | None = None,
    on_event: OnEvent | None = None,
    progress: bool | str = False,
) -> Deployment:
    """Accept what the switch does now: the explicit answer to drift.

    The fleet that serves becomes this ledger's live fleet, and the switch obeys this
    ledger from here on. No traffic moves, unless it was split.

    Args:
        service: whose switch.
        fleet: which is to serve everything, where traffic is split between two.
        on_event: gets every event, in order.
        progress: show progress; see `deploy`.
    """
    return work_on(
        service, Watch(on_event, None, progress), lambda e: caretaking.adopt(e, fleet)
    )


def restore_ledger(
    service: Service, *, on_event: OnEvent | None = None, progress: bool | str = False
) -> Deployment:
    """Write a ledger that was lost anew, from the tags of instances and the switch.

    What serves now, the next release number and the ledger's id come back; history and
    what a rollback needs do not. Fleets whose part is not known are listed as leftovers;
    nothing is destroyed until `sweep` is called.
    """
    return work_on(service, Watch(on_event, None, progress), caretaking.restore)


@overload
def sweep(
    subject: Service, *, on_event: OnEvent | None = None, progress: bool | str = False
) -> Deployment: ...


@overload
def sweep(subject: str | Backend) -> tuple[str, ...]: ...


def sweep(
    subject: Service | str | Backend,
    *,
    on_event: OnEvent | None = None,
    progress: bool | str = False,
) -> Deployment | tuple[str, ...]:
    """Retire a service's fleets that its ledger does not answer for; or clear a backend.

    Fleets are found by name, tags and ledger id; nothing that has traffic is touched.
    Trials of `bisect` are ended, whether their process has died or not. On a backend it
    is what killed builds of images left; a build in progress loses nothing.

    Args:
        subject: a service, or a backend.
        on_event: gets every event of a service's, in order.
        progress: show progress; see `deploy`.

    Returns:
        What became of it; for a backend, the names of what was removed.
    """
    if isinstance(subject, Service):
        return work_on(subject, Watch(on_event, None, progress), clearing.sweep)
    return recorder(registry.open_backend(subject)).sweep()


def destroy(
    service: Service, *, on_event: OnEvent | None = None, progress: bool | str = False
) -> Deployment:
    """End a service: close production, then retire every fleet. Its history stays.

    What the instances said stays too, and so do the images.
    """
    return work_on(service, Watch(on_event, None, progress), operations.destroy)
