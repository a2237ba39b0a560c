"""The switch: `immutable.protocols.Switch` on one supervised HAProxy per service."""

from collections.abc import Callable
from datetime import timedelta

import attrs

from immutable.capabilities import SwitchCapabilities
from immutable.model import (
    Attachment,
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
from immutable_haproxy import members as running
from immutable_haproxy.config import HAProxyConfig
from immutable_haproxy.controller import Controller, Session
from immutable_haproxy.errors import Refusal, Silence, files_of, moved, unknown
from immutable_haproxy.fence import NEVER_SET_UP, Reading, WriteTimings
from immutable_haproxy.installing import uninstall
from immutable_haproxy.options import Address
from immutable_haproxy.process import choose, choose_preview
from immutable_haproxy.rendering import PREVIEW_HEADER
from immutable_haproxy.routing import Place, Table, family_of, with_place, without_place
from immutable_haproxy.servers import Server, changes, probe_of, wanted_servers
from immutable_haproxy.storage import Home, writing

CAPABILITIES = SwitchCapabilities(
    fencing="compare-and-set",
    weighted=True,
    preview=True,
    counts_sessions=True,
    settle=timedelta(),
    staleness=timedelta(),
    # The version fences a late write; this is what remains of one call.
    late=timedelta(seconds=10),
)


def open_switch(url: Url, *, service: ServiceName, port: int) -> "HAProxySwitch":
    """Return the service's switch. Nothing is read or started.

    Args:
        url: ``haproxy://`` with options; see `HAProxyConfig`.
        service: whose traffic it moves.
        port: listened on, on the loopback address, when the URL says nothing else.

    Raises:
        InvalidInput: the URL is malformed.
    """
    config = HAProxyConfig.from_url(url, service=service, port=port)
    return HAProxySwitch(service=service, port=port, config=config)


class HAProxySwitch:
    """One service's HAProxy. It outlives this process and ends only by `shut_down`.

    Safe to use from several threads and processes at once. HAProxy is started by the
    first write; a reading of a switch that was set up starts it again where it does not
    run, with the same routing and members.

    Attributes:
        capabilities: what the engine may ask of it.
        last_write: where the time of this object's last write went, None before it.
    """

    def __init__(
        self, *, service: ServiceName, port: int, config: HAProxyConfig
    ) -> None:
        self.capabilities = CAPABILITIES
        self.last_write: WriteTimings | None = None
        home = Home(config.directory)
        self._controller = Controller(
            service=service, port=port, config=config, home=home
        )

    def preflight(self) -> tuple[str, ...]:
        """Check that the switch could be set up, without any effect.

        Raises:
            Unavailable, Unsupported: HAProxy is not installed, or too old.
            Taken, PermissionDenied: an address cannot be listened on.
            InvalidInput: it was set up with other options.
        """
        if self._controller.settings() is None:
            choose(self._controller.service, self._controller.config)
        return ()

    def endpoints(self) -> tuple[Endpoint, Endpoint]:
        """Return where clients connect: production first, then the preview route.

        Before the switch is set up, the preview route is the port that would be chosen.
        """
        control = self._controller
        settings = control.settings()
        production = _endpoint(control.config.listen)
        if settings is None:
            future = choose_preview(control.service, control.config)
            return production, _endpoint(future)
        if settings.nonce:
            headers = ((PREVIEW_HEADER, settings.nonce),)
            return production, attrs.evolve(production, headers=headers)
        return production, _endpoint(settings.preview)

    def read(self) -> SwitchView:
        """Return routing, attachments, owner and version in one consistent reading.

        What it returns is durable: a file that a dead writer left behind is put right.
        """
        with self._controller.looking() as session:
            if session is None:
                return SwitchView(routing=Routing(), version=NEVER_SET_UP)
            return _view(session.reading)

    def attach(
        self,
        fleet: FleetName,
        *,
        health: HealthCheck,
        owner: LedgerId,
        expected: Version,
    ) -> Version:
        """Give a fleet a slot, without traffic. One that has a slot keeps it.

        Raises:
            Conflict: the version is no longer ``expected``; nothing was changed.
            NotEnough: all slots are taken.
            InvalidInput: the health check cannot be made.
        """
        family_of(health)
        slots = self._controller.config.slots

        def edit(table: Table) -> Table:
            owned = table if table.owner == owner else attrs.evolve(table, owner=owner)
            if table.place_of(fleet) is not None:
                return owned
            return with_place(owned, fleet, health, slots=slots)

        return self._change("switch.attach", expected, edit)

    def write(self, routing: Routing, *, owner: LedgerId, expected: Version) -> Version:
        """Set the whole routing in one atomic step and return the new version.

        The version is new even when the routing is not: whoever read the old one is
        refused from now on.

        Raises:
            Conflict: the version is no longer ``expected``; nothing was changed.
            Ambiguous: it may or may not be served; read to know.
        """

        def edit(table: Table) -> Table:
            table.check(routing)
            return attrs.evolve(table, routing=routing, owner=owner)

        return self._change("switch.write", expected, edit)

    def detach(
        self, fleet: FleetName, *, owner: LedgerId, expected: Version
    ) -> Version:
        """Take away the fleet's slot, ending what its members still serve.

        Raises:
            Conflict: the version is no longer ``expected``, or the fleet has weight or
                is previewed; nothing was changed.
        """

        def edit(table: Table) -> Table:
            if table.routing.mentions(fleet):
                raise moved(
                    "switch.detach", fleet, f"fleet {fleet} still gets requests"
                )
            rest = without_place(table, fleet)
            return rest if rest is table else attrs.evolve(rest, owner=owner)

        return self._change("switch.detach", expected, edit)

    def join(
        self, fleet: FleetName, members: tuple[Member, ...], *, drain: timedelta
    ) -> None:
        """Make the fleet's members exactly these; probing of new ones begins.

        A member that leaves gets no new requests at once and is removed when its last
        session ends, or after ``drain``. New ones get none before a probe passed.

        Raises:
            Conflict: the fleet has no slot here (any more).
            InvalidInput: an address is no literal IP address.
            Ambiguous: only some of it may be done; join again.
        """
        with self._controller.changing() as session:
            place = _place(session, fleet)
            if session is None or place is None:
                raise moved("switch.join", fleet, f"fleet {fleet} is not attached")
            leaving = self._replace_members(session, place, members)
        if leaving:
            self._finish(fleet, leaving, drain)

    def health(self, fleet: FleetName) -> tuple[Probe, ...]:
        """Return one probe for each member, in order of joining.

        ``READY`` needs a recorded passing probe. Before the first one, and while the
        latest one of a ready member failed but does not count yet, it is ``UNKNOWN``.
        """
        with self._controller.looking() as session:
            place = _place(session, fleet)
            if session is None or place is None:
                return ()
            names = {s.name for s in _servers(session, place) if s.is_member}
            rows = running.statistics(session.talk, place.slot)
            return tuple(probe_of(row) for row in rows if row["svname"] in names)

    def sessions(self, fleet: FleetName) -> int | None:
        """Return how many requests (in mode ``tcp``: connections) the fleet is serving.

        A client that is connected but waits for nothing is not counted: its next
        request goes where the routing says.
        """
        with self._controller.looking() as session:
            place = _place(session, fleet)
            if session is None or place is None:
                return 0
            return running.count_sessions(session.talk, place.slot)

    def shut_down(self) -> None:
        """End HAProxy and its restarter, and forget the routing.

        Afterwards the switch reads as never set up. One that was not is no error.

        Raises:
            Unavailable, PermissionDenied: it may still run.
        """
        home = self._controller.home
        with files_of(home.directory):
            if home.directory.exists():
                with writing(home):
                    uninstall(home)

    def _change(
        self, operation: str, expected: Version, edit: Callable[[Table], Table]
    ) -> Version:
        version, timings = self._controller.change(operation, expected, edit)
        self.last_write = timings or self.last_write
        return version

    def _replace_members(
        self, session: Session, place: Place, members: tuple[Member, ...]
    ) -> tuple[Server, ...]:
        wanted = wanted_servers(
            place.slot, members, place.health, service_port=self._controller.port
        )
        plan = changes(_servers(session, place), wanted)
        others = [s for s in session.reading.servers if s.slot != place.slot]
        self._controller.store_members(session, (*others, *wanted))
        try:
            running.apply(session.talk, plan, session.settings.config.probing)
        except (Silence, Refusal) as exc:
            raise unknown("switch.join", place.fleet, exc) from exc
        return plan.drain

    def _finish(
        self, fleet: FleetName, leaving: tuple[Server, ...], drain: timedelta
    ) -> None:
        with self._controller.looking() as session:
            if session is not None:
                running.wait_until_idle(session.talk, leaving, drain)
        names = {server.name for server in leaving}
        with self._controller.changing() as session:
            place = _place(session, fleet)
            if session is None or place is None:
                return
            # Another join may have called one back meanwhile: that one stays.
            still = [s for s in _servers(session, place) if s.is_leaving]
            running.remove(session.talk, [s for s in still if s.name in names])


def _place(session: Session | None, fleet: FleetName) -> Place | None:
    return session.reading.table.place_of(fleet) if session else None


def _servers(session: Session, place: Place) -> tuple[Server, ...]:
    return tuple(s for s in session.reading.servers if s.slot == place.slot)


def _view(reading: Reading) -> SwitchView:
    table = reading.table
    return SwitchView(
        routing=table.routing,
        version=reading.stamp.version,
        attachments=tuple(_attachment(reading, place) for place in table.places),
        owner=table.owner,
    )


def _attachment(reading: Reading, place: Place) -> Attachment:
    own = [s for s in reading.servers if s.slot == place.slot and s.is_member]
    members = tuple(server.to_member() for server in own)
    return Attachment(fleet=place.fleet, place=place.slot, members=members)


def _endpoint(address: Address) -> Endpoint:
    # An address that stands for all of them is no destination.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(address.host, address.host)  # noqa: S104
    return Endpoint(host=host, port=address.port)
