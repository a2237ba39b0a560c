"""What the process does that is killed: it deploys as any program would."""

import time
from contextlib import nullcontext

import attrs

import immutable
from immutable.model import Outcome
from immutable.results import Deployment
from proofs.sigkill.points import Point, Watch
from proofs.sigkill.site import REJECT, ROLLBACK, SICK, WELL, Site
from proofs.sigkill.taps import haproxy_tapped

RECOVER = "recover"


@attrs.frozen(kw_only=True)
class Order:
    """What a process is to do, and where it is to die."""

    verb: str
    mark: str
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


def obey(site: Site, order: Order) -> Said:
    """Do what was ordered, and say how it went; those who were killed say nothing."""
    began = time.monotonic()
    watch = Watch(order.verb, point=order.point, meeting=order.meeting)
    looking = haproxy_tapped(watch) if site.ground.looks_into_switch else nullcontext()
    with looking:
        done = _do(site, order, watch)
    error = repr(done.error) if done.error else ""
    return Said(
        outcome=done.outcome,
        error=error,
        took_s=time.monotonic() - began,
        met=tuple(watch.met),
    )


def _do(site: Site, order: Order, watch: Watch) -> Deployment:
    service = site.service(watch)
    match order.verb:
        case v if v == RECOVER:
            return immutable.recover(service)
        case v if v == ROLLBACK:
            return immutable.rollback(service)
        case verb:
            mood = SICK if verb == REJECT else WELL
            config = {"mark": order.mark, "mood": mood}
            return immutable.deploy(service, site.ground.image, config=config)
