"""What the process does that is killed: it deploys as any program would."""

import time
from collections.abc import Callable
from contextlib import nullcontext

import attrs

from immutable.model import Outcome
from proofs.forking import ForkServer
from proofs.sigkill.points import Point, Watch
from proofs.sigkill.site import Site
from proofs.sigkill.taps import haproxy_tapped
from proofs.sigkill.verbs import Verb, call


@attrs.frozen(kw_only=True)
class Order:
    """What a process is to do, and where it is to die."""

    site: Site
    verb: Verb
    mark: str = ""
    """In the configuration of the release, so that every answer tells who gave it."""
    point: Point | None = None
    meeting: int | None = None


@attrs.frozen(kw_only=True)
class Said:
    """What a process that was not killed says at its end."""

    outcome: Outcome
    error: str
    took_s: float
    met: tuple[Point, ...]


Deployers = ForkServer[Order, Said]
"""The processes that deploy, one at a time."""


def ready() -> Callable[[Order], Said]:
    """Return what a deployer does; all that it needs is imported by now."""
    return _obey


def _obey(order: Order) -> Said:
    """Do what was ordered, and say how it went; those who were killed say nothing."""
    began, site = time.monotonic(), order.site
    watch = Watch(order.verb, point=order.point, meeting=order.meeting)
    looking = haproxy_tapped(watch) if site.ground.looks_into_switch else nullcontext()
    with looking:
        done = call(order.verb, site.service(watch), site.ground.image, order.mark)
    return Said(
        outcome=done.outcome,
        error=repr(done.error) if done.error else "",
        took_s=time.monotonic() - began,
        met=tuple(watch.met),
    )
