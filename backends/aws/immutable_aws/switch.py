"""The switch: `immutable.protocols.Switch` on the rules of an Application Load Balancer.

AWS compares nothing when a listener or rule is modified. But no two rules have the same
priority: each routing is a new rule, whose priority is the fencing token; see `slots`.

What it costs: `read` one call for 400 rules, one more where there are rules that this
object has not seen, and one for each attached fleet, for its members; nothing that was read
within half of ``staleness`` is read again, and what this object has made or deleted since is
known. `write` costs two: the rule, and one look whether it landed on top.

How it fails open, and what is done about it: a target group without one healthy target gets
requests all the same, so that a fleet gets traffic only when `health` says so of each
member. Requests with an unknown nonce do not reach production: the guard answers them.

Seen on an emulator, never on AWS itself: how long AWS takes to show or to obey a change is
not documented; the config says what is assumed.
"""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial

from immutable import host
from immutable.capabilities import SwitchCapabilities
from immutable.errors import BackendError, Conflict, NotEnough, Unavailable
from immutable.model import (
    Endpoint,
    FleetName,
    HealthCheck,
    LedgerId,
    Member,
    Probe,
    Routing,
    ServiceName,
    SwitchView,
    Version,
)
from immutable.urls import Url
from immutable_aws.errors import NAME
from immutable_aws.rules import writing
from immutable_aws.rules.balancers import Placed, balancing_of
from immutable_aws.rules.doubting import doubts
from immutable_aws.rules.joining import Joining
from immutable_aws.rules.landing import see_served
from immutable_aws.rules.listening import LATE, Listener
from immutable_aws.rules.remembering import Memory
from immutable_aws.rules.rule import NewRule, Rule
from immutable_aws.rules.rulebook import Rulebook
from immutable_aws.rules.slots import Reading
from immutable_aws.rules.writing import moved
from immutable_aws.session import Aws, aws_of
from immutable_aws.switch_config import AlbConfig

_NONCE_BYTES = 16
_COUNTED = 5
"""Rules of more other listeners are not counted: AWS says so itself when one is made."""
_ROOM = 5
"""So many rules a deployment adds at most: places, a guard, and a few slots."""


def open_switch(url: Url, *, service: ServiceName, port: int) -> "AlbSwitch":
    """Return the service's switch. Nothing is read or made.

    Args:
        url: ``alb://region`` with options; see `AlbConfig`.
        service: whose traffic it moves.
        port: where the instances listen.

    Raises:
        InvalidInput: the URL is malformed.
    """
    return AlbSwitch(service=service, port=port, config=AlbConfig.parse(url))


class AlbSwitch:
    """One service's band of priorities of one listener.

    Safe to use from several threads and processes at once. Places (target groups) are not
    compared: AWS refuses to delete one that a rule names, and to name one that is gone.
    """

    def __init__(
        self,
        *,
        service: ServiceName,
        port: int,
        config: AlbConfig,
        aws: Aws | None = None,
    ) -> None:
        """Prepare; ``aws`` only where the clients are not those of the config's place."""
        at = config.listening
        aws = aws or aws_of(at.place)
        self._config = config
        self._service = service
        self._balancing = balancing_of(aws)
        self._listener = Listener(aws, at, service, port=port)
        self._rules = Rulebook(aws, self._listener, config.layout(service))
        self._places = Joining(aws, at, service, port=port)
        # half of what is declared is for AWS, the other half may be our own memory
        self._memory = Memory(self._rules, lag=at.staleness / 2)
        self._lag = at.staleness / 2
        self._checked: tuple[datetime, tuple[str, ...]] | None = None

    @property
    def capabilities(self) -> SwitchCapabilities:
        """Return what this switch can do."""
        at = self._config.listening
        return SwitchCapabilities(
            fencing="slot",
            weighted=True,
            preview=True,
            counts_sessions=False,
            settle=at.settle,
            staleness=at.staleness,
            late=LATE,
        )

    def preflight(self) -> tuple[str, ...]:
        """Check that the listener is there, and its band this service's; return warnings.

        Rules are counted as AWS does, by load balancer: one call for its listeners, and one
        for the rules of each other one, of five at most; none where that was done a moment ago.

        Raises:
            InvalidInput: there is no such listener.
            Unsupported: it has no rules.
            Taken: a rule in the band is somebody else's.
            NotEnough: the load balancer has no room for more rules.
        """
        now = host.current().now()
        reading = self._memory.recent()
        reading.check()
        if self._checked is None or now - self._checked[0] >= self._lag:
            self._checked = now, self._checked_around(reading)
        return self._checked[1]

    def _checked_around(self, reading: Reading) -> tuple[str, ...]:
        own = self._listener.with_rules()
        others = {each.arn: each for each in self._listener.siblings()}
        found = others.pop(own, None)
        self._check_room(reading.total + self._rules.count(list(others)[:_COUNTED]))
        above = self._listener.balancer()
        return doubts(self._config, above, found.protocol if found else None)

    def _check_room(self, rules: int) -> None:
        most = self._rules.most(rules + _ROOM)
        if rules + _ROOM > most:
            raise NotEnough(
                f"the load balancer has {rules} of {most} rules",
                hint="delete rules, or have rules-per-application-load-balancer raised",
                operation="switch.preflight",
                resource=self._service,
                backend=NAME,
            )

    def endpoints(self) -> tuple[Endpoint, Endpoint]:
        """Return where clients connect: production first, then the preview route.

        The preview's header is the nonce of the fleet that is previewed, as this object has
        last read or written; where none is, it is one that the guard answers.
        """
        found = self._listener.find()
        host_name = self._config.named_host
        named = (("Host", host_name),) if host_name else ()
        opens = (self._memory.last or self._memory.look()).preview_header
        return found.endpoint(named), found.endpoint((*named, opens))

    def read(self) -> SwitchView:
        """Return routing, attachments, owner and version.

        Every fleet that one of our rules names is attached.

        Raises:
            Taken: a rule in the band is somebody else's.
        """
        reading = self._memory.recent()
        reading.check()
        return SwitchView(
            routing=reading.routing,
            version=reading.version,
            attachments=self._places.attachments(reading.groups),
            owner=reading.owner,
        )

    def attach(
        self,
        fleet: FleetName,
        *,
        health: HealthCheck,
        owner: LedgerId,
        expected: Version,
    ) -> Version:
        """Give a fleet a target group, which is probed and reached by who knows its nonce.

        The version is not compared: the same is returned. The rule is made last, so that
        what is seen to have a place has all of it.

        Raises:
            NotEnough: no place is free.
            Taken: a group of this name, or a rule in the band, is somebody else's.
            Unavailable: somebody else took the same place; to be repeated.
        """
        with self._unsure():
            reading = self._memory.recent()
            reading.check()
            if reading.place_of(fleet):
                return expected
            above = self._listener.balancer()
            group = reading.groups.get(fleet) or self._places.make(
                fleet, health=health, owner=owner, vpc=above.vpc, protocol="HTTP"
            )
            if reading.guard is None:
                self._make_guard(writing.guard_rule(reading.layout, owner=owner))
            nonce = secrets.token_hex(_NONCE_BYTES)
            self._make_place(
                writing.place_rule(reading, fleet, group, owner=owner, nonce=nonce)
            )
            self._balancing.placed(group, Placed(vpc=above.vpc, balancer=above.arn))
        return expected

    def join(
        self, fleet: FleetName, members: tuple[Member, ...], *, drain: timedelta
    ) -> None:
        """Make the group's targets exactly these; probing of new ones begins.

        A member that leaves gets no new requests, and is waited for as long as it has
        some. Where launching registers members this has little to do.

        Raises:
            Conflict: the fleet has no place here (any more).
        """
        self._places.join(fleet, self._group_of(fleet), members, drain=drain)

    def health(self, fleet: FleetName) -> tuple[Probe, ...]:
        """Return one probe for each member, as the load balancer sees it now."""
        return self._places.health(self._group_of(fleet))

    def write(self, routing: Routing, *, owner: LedgerId, expected: Version) -> Version:
        """Make the rule in the slot after the expected one, and see that it is on top.

        A write that comes late lands below newer rules and moves nothing.

        Raises:
            Conflict: the version is no longer ``expected``, or a fleet has no place.
            Unsupported: more than five fleets with weight.
            NotEnough: the band is used up; see `renumber`.
            Ambiguous: it may or may not be served; read to know.
        """
        with self._unsure():
            new = writing.next_rule(
                self._expected(routing, expected),
                routing,
                owner=owner,
                expected=expected,
                write=host.current().unique(),
                now=host.current().now(),
            )
            mine = self._rules.make(new, "switch.write")
            self._memory.add(mine)
            staleness = self._config.listening.staleness
            self._clear_away(see_served(self._memory.look, mine, staleness=staleness))
        return Version(str(self._rules.layout.band.number(mine)))

    def sessions(self, fleet: FleetName) -> int | None:
        """Return None: AWS does not say in time how many requests a fleet is serving."""
        del fleet
        return None

    def detach(
        self, fleet: FleetName, *, owner: LedgerId, expected: Version
    ) -> Version:
        """Delete older rules that name the fleet, its place, and its target group.

        What an old reading says does no harm: AWS does not delete a group that a rule
        names, and the rule that serves is never deleted here. So what is remembered will
        do, unless it refuses or knows no such fleet. The version stays.

        Raises:
            Conflict: the fleet has traffic, or is previewed; or AWS calls its target group
                in use for half a minute, though no rule is seen to name it.
        """
        del owner
        with self._unsure():
            reading = self._leaving(fleet)
            reading.check()
            gone = writing.leaving(reading, fleet)
            for rule in gone:
                self._delete(rule)
            group = reading.groups.get(fleet) or self._places.find(fleet)
            if group is not None:
                named = partial(self._rules.names, group, but=gone)
                self._places.delete(group, is_named=named)
        return expected

    def renumber(self) -> Version:
        """Begin the band anew, and return the version: for when all slots were used.

        Nobody may be at work on the service, or have been within the last ten minutes.

        Raises:
            Conflict: the switch was written lately.
        """
        reading = self._memory.look()
        reading.check()
        top = writing.renumbering(reading, now=host.current().now(), late=LATE)
        self._memory.forget()
        for rule in reversed(reading.slots[1:]):
            self._rules.delete(rule)
        if top is not None:
            self._rules.move(top, reading.layout.band.slot(1))
        return self._memory.look().version

    def shut_down(self) -> None:
        """Delete the rules that stay when nothing is attached, and forget the version.

        Afterwards the switch reads as never set up. Nobody may be at work on the service,
        or have been within the last ten minutes.

        Raises:
            Conflict: fleets are attached, or the switch was written lately.
        """
        reading = self._memory.look()
        if reading.groups:
            what = f"{', '.join(reading.groups)} attached: retire them first"
            raise moved("switch.shut_down", self._service, what)
        writing.renumbering(reading, now=host.current().now(), late=LATE)
        guard = (reading.guard,) if reading.guard else ()
        self._memory.forget()
        for rule in (*guard, *reversed(reading.slots)):
            self._rules.delete(rule)

    @contextmanager
    def _unsure(self) -> Iterator[None]:
        """Forget what was read when something goes wrong: it may be why."""
        try:
            yield
        except BaseException:
            self._memory.forget()
            raise

    def _expected(self, routing: Routing, expected: Version) -> Reading:
        """Return the reading that the writer decided upon, where this object made it.

        That groups with weight are there AWS checks, at any time. A previewed one is named
        by a tag alone: that it is there has to be known from a recent reading.
        """
        last = self._memory.recent() if routing.preview else self._memory.last
        named = {fleet for fleet, _ in routing.weights} | {routing.preview} - {None}
        if last is None or last.version != expected or not named <= set(last.groups):
            return self._memory.look()
        return last

    def _leaving(self, fleet: FleetName) -> Reading:
        """Return a reading by which a fleet may leave, or a new one."""
        known = self._memory.last
        reading = self._memory.recent()
        leaves = fleet in reading.groups and not reading.routing.mentions(fleet)
        return reading if leaves or reading is not known else self._memory.look()

    def _group_of(self, fleet: FleetName) -> str | None:
        last = self._memory.last
        known = last.groups.get(fleet) if last else None
        return known or self._memory.look().groups.get(fleet)

    def _clear_away(self, reading: Reading) -> None:
        """Delete old rules where many have gathered: no detach has done so for long.

        The write has been served: what is left over is for the next one.
        """
        for rule in writing.surplus(reading):
            try:
                self._delete(rule)
            except BackendError:
                self._memory.forget()
                return

    def _delete(self, rule: Rule) -> None:
        self._rules.delete(rule)
        self._memory.remove(rule)

    def _make_guard(self, new: NewRule) -> None:
        try:
            self._memory.add(self._rules.make(new, "switch.attach"))
        except Conflict:
            # somebody else made it: the guard is the same for all
            self._memory.forget()

    def _make_place(self, new: NewRule) -> None:
        try:
            self._memory.add(self._rules.make(new, "switch.attach"))
        except Conflict as exc:
            what = f"priority {new.priority}, or the target group, was taken meanwhile"
            raise Unavailable(
                what, hint="attach again", retryable=True, backend=NAME
            ) from exc
