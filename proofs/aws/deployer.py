"""What the process does that is killed: it deploys as any program would."""

import time
from collections.abc import Callable
from importlib import import_module

import attrs

from emulators.aws.account import REGION
from immutable.errors import ImmutableError
from immutable.model import Outcome
from immutable_aws.session import Place
from proofs.aws.hurrying import hurried
from proofs.aws.planted import Bug, planted
from proofs.aws.points import Point, Watch, warmed, watched
from proofs.aws.site import Site
from proofs.aws.verbs import Verb, call
from proofs.forking import ForkServer


@attrs.frozen(kw_only=True)
class Order:
    """What a process is to do, and where it is to die."""

    site: Site
    verb: Verb
    image: str
    point: Point | None = None
    bug: Bug | None = None
    is_hurried: bool = False
    """Whether pauses are a tenth."""


@attrs.frozen(kw_only=True)
class Said:
    """What a process that was not killed says at its end."""

    outcome: Outcome | None
    """None: it raised."""
    error: str
    took_s: float
    met: tuple[Point, ...]


Deployers = ForkServer[Order, Said]
"""The processes that deploy, one at a time."""


def ready() -> Callable[[Order], Said]:
    """Make the clients, which takes seconds; they have called nobody yet."""
    # all that a deployer imports is imported here, once
    for module in ("immutable_aws.backend", "immutable_aws.switch"):
        import_module(module)

    aws = warmed(Place(region=REGION))

    def obey(order: Order) -> Said:
        watch = Watch(order.verb, order.point)
        with watched(aws, watch), planted(order.bug):
            return _obey(order, watch)

    return obey


def _obey(order: Order, watch: Watch) -> Said:
    began = time.monotonic()
    outcome, error = None, ""
    try:
        with hurried(is_hurried=order.is_hurried):
            done = call(order.verb, order.site, order.image)
        outcome, error = done.outcome, repr(done.error) if done.error else ""
    except ImmutableError as exc:
        error = repr(exc)
    return Said(
        outcome=outcome,
        error=error,
        took_s=time.monotonic() - began,
        met=tuple(watch.met),
    )
