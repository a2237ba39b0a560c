"""The weaker switch: a listener is pointed elsewhere, and nothing refuses a late writer.

For Network Load Balancers, which have no rules, and for listeners of Application Load
Balancers whose rules are somebody else's. AWS takes any `ModifyListener`, however old: the
version is compared when a write is sent, and never again. So the engine waits out `LATE`
whenever it does not know what became of a write, and calls the switch ``blind``. There are
neither weights nor a preview. Use ``alb://`` where you can.

What it costs: `read` two calls, and one for each attached fleet, as `switch` does; `write`
three, and one more for the first of an owner.
"""

from datetime import timedelta
from functools import partial

from immutable.capabilities import SwitchCapabilities
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
from immutable_aws.rules.joining import Joining
from immutable_aws.rules.listening import LATE, Listener
from immutable_aws.rules.pointers import Pointers
from immutable_aws.rules.pointing import Aim
from immutable_aws.rules.writing import moved
from immutable_aws.session import Aws, aws_of
from immutable_aws.switch_config import NlbConfig

_NOBODY = "nobody"


def open_listener_switch(
    url: Url, *, service: ServiceName, port: int
) -> "ListenerSwitch":
    """Return the service's switch. Nothing is read or made.

    Args:
        url: ``nlb://region`` with options; see `NlbConfig`.
        service: whose traffic it moves.
        port: where the instances listen.

    Raises:
        InvalidInput: the URL is malformed.
    """
    return ListenerSwitch(service=service, port=port, config=NlbConfig.parse(url))


class ListenerSwitch:
    """One service's listener, pointed by its default action."""

    def __init__(
        self,
        *,
        service: ServiceName,
        port: int,
        config: NlbConfig,
        aws: Aws | None = None,
    ) -> None:
        """Prepare; ``aws`` only where the clients are not those of the config's place."""
        at = config.listening
        aws = aws or aws_of(at.place)
        self._config = config
        self._service = service
        self._listener = Listener(aws, at, service, port=port)
        self._pointers = Pointers(aws, self._listener, service)
        self._places = Joining(aws, at, service, port=port)
        self._last: Aim | None = None

    @property
    def capabilities(self) -> SwitchCapabilities:
        """Return what this switch can do: less than `AlbSwitch`."""
        at = self._config.listening
        return SwitchCapabilities(
            fencing="blind",
            weighted=False,
            preview=False,
            counts_sessions=False,
            settle=at.settle,
            staleness=at.staleness,
            late=LATE,
        )

    def preflight(self) -> tuple[str, ...]:
        """Check that the listener is there, this service's or nobody's, and has a port free.

        Raises:
            InvalidInput: there is no such listener.
            Unsupported: it speaks another protocol than TCP, TLS, HTTP or HTTPS.
            Taken: another service uses it.
            NotEnough: all ports for checks are taken.
        """
        aim = self._look()
        _ = self._pointers.protocol
        aim.check()
        aim.free(self._config.checks)
        return ()

    def endpoints(self) -> tuple[Endpoint, Endpoint]:
        """Return where clients connect, twice: there is no preview."""
        endpoint = self._listener.find().endpoint()
        return endpoint, endpoint

    def read(self) -> SwitchView:
        """Return routing, attachments, owner and version.

        A target group that is not a fleet's is nobody: before the first write the routing
        is empty, whatever the listener forwards to.

        Raises:
            Taken: another service uses the listener.
        """
        aim = self._look()
        aim.check()
        return SwitchView(
            routing=aim.routing,
            version=aim.version,
            attachments=self._places.attachments(aim.groups),
            owner=aim.owner,
        )

    def attach(
        self,
        fleet: FleetName,
        *,
        health: HealthCheck,
        owner: LedgerId,
        expected: Version,
    ) -> Version:
        """Give a fleet a target group, and a listener by which it is probed.

        The version is not compared: the same is returned.

        Raises:
            NotEnough: all ports for checks are taken.
            Taken: a group of this name, or the listener, is somebody else's.
            Unavailable: somebody else took the same port; to be repeated.
        """
        aim = self._look()
        aim.check()
        if aim.place_of(fleet):
            return expected
        port = aim.free(self._config.checks)
        group = aim.groups.get(fleet) or self._places.make(
            fleet,
            health=health,
            owner=owner,
            vpc=self._listener.find().vpc,
            protocol=self._pointers.protocol,
        )
        self._last = None
        self._pointers.make(port, group, fleet, owner)
        return expected

    def join(
        self, fleet: FleetName, members: tuple[Member, ...], *, drain: timedelta
    ) -> None:
        """Make the group's targets exactly these; probing of new ones begins.

        Raises:
            Conflict: the fleet has no place here (any more).
        """
        self._places.join(fleet, self._group_of(fleet), members, drain=drain)

    def health(self, fleet: FleetName) -> tuple[Probe, ...]:
        """Return one probe for each member, as the load balancer sees it now."""
        return self._places.health(self._group_of(fleet))

    def write(self, routing: Routing, *, owner: LedgerId, expected: Version) -> Version:
        """Point the listener to a fleet's target group, or to nobody.

        Nobody is an answer of 503 where HTTP is spoken, else a group without targets.

        Raises:
            Conflict: the version was not ``expected`` when this was sent, or the fleet has
                no place.
            Unsupported: weights, or a preview.
            Ambiguous: it may or may not be served, also later.
        """
        aim = self._look()
        aim.check()
        group = aim.target(routing, expected)
        if group is None and not self._pointers.answers:
            group = self._nobody(owner)
        self._last = None
        self._pointers.obey(aim, owner)
        self._pointers.point(aim, group)
        return aim.version_with(group, owner)

    def sessions(self, fleet: FleetName) -> int | None:
        """Return None: AWS does not say in time how many connections a fleet has."""
        del fleet
        return None

    def detach(
        self, fleet: FleetName, *, owner: LedgerId, expected: Version
    ) -> Version:
        """Delete the fleet's listener for checks, and its target group.

        Raises:
            Conflict: the fleet has traffic; AWS, too, deletes no group that is named, or
                that it calls in use for half a minute after the listener has gone.
        """
        del owner
        aim = self._look()
        aim.check()
        if aim.routing.mentions(fleet):
            raise moved("switch.detach", fleet, f"fleet {fleet} has traffic")
        group = aim.groups.get(fleet) or self._places.find(fleet)
        self._last = None
        gone = aim.place_of(fleet)
        for pointer in gone:
            self._pointers.delete(pointer)
        if group is not None:
            named = partial(self._pointers.names, group, but=gone)
            self._places.delete(group, is_named=named)
        return expected

    def _look(self) -> Aim:
        self._last = aim = self._pointers.read()
        return aim

    def _group_of(self, fleet: FleetName) -> str | None:
        known = self._last.groups.get(fleet) if self._last else None
        return known or self._look().groups.get(fleet)

    def _nobody(self, owner: LedgerId) -> str:
        """Return a group that never has targets: a connection to it is refused."""
        return self._places.make(
            FleetName(f"{self._service}-{_NOBODY}"),
            health=HealthCheck(port=1),
            owner=owner,
            vpc=self._listener.find().vpc,
            protocol=self._pointers.protocol,
        )
