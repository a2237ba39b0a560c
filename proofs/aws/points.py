"""Crash points: each call to AWS, before it is sent and after it had its effect."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal
from unittest import mock

import attrs

from immutable_aws import session
from immutable_aws.session import Aws, Clients, Place

Side = Literal["before", "after"]
SIDES: tuple[Side, ...] = ("before", "after")
_READS = ("Describe", "Get", "List", "Simulate")
_EVENTS: dict[str, Side] = {"before-send": "before", "response-received": "after"}
_SERVICES: tuple[session.Service, ...] = (
    "autoscaling",
    "ec2",
    "elbv2",
    "iam",
    "logs",
    "service-quotas",
    "sts",
)
_KILLED = signal.SIGKILL


@attrs.frozen(kw_only=True, order=True)
class Point:
    """One instant at which a deployer can be killed."""

    verb: str
    call: str
    """As botocore's events name it: ``ec2.CreateLaunchTemplate``."""
    again: int
    """Which of several equal calls of this run, from 1."""
    side: Side

    @property
    def is_change(self) -> bool:
        """Return whether the call changes something at AWS."""
        return not self.call.partition(".")[2].startswith(_READS)

    def __str__(self) -> str:
        return f"{self.verb}: {self.side} {self.call} #{self.again}"


class Watch:
    """Is told of each call by botocore; dies at the point that is armed."""

    def __init__(self, verb: str, armed: Point | None = None) -> None:
        self._verb, self._armed = verb, armed
        self._counts: Counter[tuple[str, Side]] = Counter()
        self._lock = threading.Lock()
        self.met: list[Point] = []

    def hear(self, event_name: str, **_: object) -> None:
        """Be at a point; this does not return where it is the armed one."""
        kind, _dot, call = event_name.partition(".")
        side = _EVENTS[kind]
        with self._lock:
            self._counts[call, side] += 1
            again = self._counts[call, side]
            point = Point(verb=self._verb, call=call, again=again, side=side)
            self.met.append(point)
            if point == self._armed:
                os.kill(os.getpid(), _KILLED)
                signal.pause()


def warmed(place: Place) -> Aws:
    """Return clients of every service that have not called anybody."""
    aws = Aws(place)
    for clients in (aws.reads, aws.changes):
        for service in _SERVICES:
            clients._client(service)  # noqa: SLF001 - made here, so that no child has to
    return aws


@contextmanager
def watched(aws: Aws, watch: Watch) -> Iterator[None]:
    """Let everything in this process use these clients, and tell the watch of each call."""
    for clients in (aws.reads, aws.changes):
        for service in _SERVICES:
            _tell(clients, service, watch)
    with mock.patch.object(session, "_shared", return_value=aws):
        yield


def _tell(clients: Clients, service: session.Service, watch: Watch) -> None:
    # what a client is, only botocore's untyped base class says
    events = clients._client(service).meta.events  # type: ignore[attr-defined]  # noqa: SLF001
    for event in _EVENTS:
        events.register(event, watch.hear)
