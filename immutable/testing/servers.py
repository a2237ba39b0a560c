"""What a simulated server does in its life, as a function of time."""

import functools
from datetime import datetime, timedelta
from itertools import count, islice
from typing import Literal

import attrs

from immutable.durations import duration
from immutable.fleets import member_name
from immutable.model import (
    Digest,
    FleetName,
    FleetSpec,
    FleetView,
    Health,
    Instance,
    InstanceId,
    InstanceState,
    Probe,
    Token,
    digest_of,
)
from immutable.testing.groups import Group
from immutable.testing.scheduling import EPOCH, to_us

Route = Literal["preview", "live"]


def _optional(value: timedelta | str | None) -> timedelta | None:
    return None if value is None else duration(value)


@attrs.frozen(kw_only=True)
class Behaviour:
    """How servers behave that were launched from an image.

    Args:
        boots_in: until it answers.
        ready: whether it ever answers.
        dies_after: its life, from launch on; None: until it is destroyed.
        flaps_after: when it stops answering for a while; None: never.
        flaps_for: how long it does not answer then.
        wrong_digest: it was launched from something else than it should have been.
        rejected: validators reject it: nowhere, on the ``"preview"`` route or ``"live"``.
    """

    boots_in: timedelta = attrs.field(default=timedelta(seconds=1), converter=duration)
    ready: bool = True
    dies_after: timedelta | None = attrs.field(default=None, converter=_optional)
    flaps_after: timedelta | None = attrs.field(default=None, converter=_optional)
    flaps_for: timedelta = attrs.field(default=timedelta(seconds=1), converter=duration)
    wrong_digest: bool = False
    rejected: Route | None = None


@attrs.frozen(kw_only=True)
class Server:
    """One server of the truth: when it was launched, answers, and dies."""

    id: InstanceId
    fleet: FleetName
    spec: FleetSpec
    digest: str
    launched_us: int
    answers_us: int | None
    dies_us: int | None
    silent_us: tuple[tuple[int, int], ...] = ()
    """From when until when it does not answer."""

    @property
    def address(self) -> str:
        """Return where it can be reached."""
        return f"at-{self.id}"

    def is_gone(self, when_us: int) -> bool:
        """Return whether it has died."""
        return self.dies_us is not None and self.dies_us <= when_us

    def answers(self, when_us: int) -> bool:
        """Return whether it answers."""
        if self.answers_us is None or when_us < self.answers_us:
            return False
        if self.is_gone(when_us):
            return False
        return not any(start <= when_us < end for start, end in self.silent_us)

    def probe(self, when_us: int) -> Probe:
        """Return what a probe would find."""
        if self.answers(when_us):
            return self._ready
        booting = self.answers_us is not None and when_us < self.answers_us
        health = Health.UNKNOWN if booting else Health.UNREADY
        return Probe(instance=self.id, health=health)

    @functools.cached_property
    def _ready(self) -> Probe:
        return Probe(instance=self.id, health=Health.READY)

    def begins_to_answer(self) -> tuple[int, ...]:
        """Return every instant at which it begins to answer."""
        if self.answers_us is None:
            return ()
        return (self.answers_us, *(end for _, end in self.silent_us))

    def as_instance(self, when_us: int) -> Instance:
        """Return the server as the provider describes it."""
        if self.is_gone(when_us):
            return attrs.evolve(self._living, state=InstanceState.GONE)
        return self._living

    @functools.cached_property
    def _living(self) -> Instance:
        return Instance(
            id=self.id,
            fleet=self.fleet,
            state=InstanceState.RUNNING,
            address=self.address,
            digest=self.digest,
            launched_at=to_datetime(self.launched_us),
            image=self.spec.image.id,
            document=self.spec.document,
        )


@attrs.frozen(kw_only=True)
class Fleet:
    """One fleet of the truth, with all its servers in order of id, the dead included."""

    name: FleetName
    spec: FleetSpec
    """What it was last launched or changed with."""
    servers: tuple[Server, ...]
    group: Group | None = None
    """How its provider keeps it by itself; None: it does not."""

    @functools.cached_property
    def _by_id(self) -> dict[InstanceId, Server]:
        # the first of a name, as when they are searched in order
        return {server.id: server for server in reversed(self.servers)}

    @property
    def tags(self) -> tuple[tuple[str, str], ...]:
        """Return the tags that it carries."""
        return tuple(sorted(self.spec.tags.to_mapping().items()))

    def server(self, instance: InstanceId) -> Server | None:
        """Return one of the servers."""
        return self._by_id.get(instance)

    def alive(self, when_us: int) -> tuple[Server, ...]:
        """Return the servers that have not died."""
        return tuple(server for server in self.servers if not server.is_gone(when_us))

    def as_view(self, when_us: int, *, counted: bool) -> FleetView:
        """Return the fleet as the provider describes it."""
        if any(server.dies_us is not None for server in self.servers):
            return self._seen(when_us, counted=counted)
        # where nobody dies, it looks the same for as long as it lives
        if counted not in self._views:
            self._views[counted] = self._seen(when_us, counted=counted)
        return self._views[counted]

    @functools.cached_property
    def _views(self) -> dict[bool, FleetView]:
        return {}

    def _seen(self, when_us: int, *, counted: bool) -> FleetView:
        return FleetView(
            name=self.name,
            instances=tuple(server.as_instance(when_us) for server in self.servers),
            desired_size=self.spec.size if counted else None,
            tags=self.tags,
            frozen=self.group.frozen if self.group else None,
        )


def to_datetime(when_us: int) -> datetime:
    """Return an instant of virtual time as a date."""
    return EPOCH + timedelta(microseconds=when_us)


def born(
    spec: FleetSpec, instance: InstanceId, behaviour: Behaviour, when_us: int
) -> Server:
    """Return a server that is launched now."""
    answers_us = when_us + to_us(behaviour.boots_in)
    digest = spec.tags.digest[:16]
    return Server(
        id=instance,
        fleet=spec.name,
        spec=spec,
        digest=Digest(digest_of("another"))[:16] if behaviour.wrong_digest else digest,
        launched_us=when_us,
        answers_us=answers_us if behaviour.ready else None,
        dies_us=_after(when_us, behaviour.dies_after),
        silent_us=_silent(when_us, behaviour),
    )


def missing_names(
    kept: tuple[Server, ...], spec: FleetSpec, token: Token, when_us: int
) -> tuple[InstanceId, ...]:
    """Return the names of the servers that a fleet lacks; the same token, the same names."""
    known = {server.id for server in kept}
    lacking = spec.size - sum(not server.is_gone(when_us) for server in kept)
    fresh = (
        name
        for index in count()
        if (name := InstanceId(member_name(spec.name, token, index))) not in known
    )
    return tuple(islice(fresh, max(lacking, 0)))


def _after(when_us: int, pause: timedelta | None) -> int | None:
    return None if pause is None else when_us + to_us(pause)


def _silent(when_us: int, behaviour: Behaviour) -> tuple[tuple[int, int], ...]:
    start_us = _after(when_us, behaviour.flaps_after)
    if start_us is None:
        return ()
    return ((start_us, start_us + to_us(behaviour.flaps_for)),)
