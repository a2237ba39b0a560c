"""The switch: `immutable.protocols.Switch` on one supervised HAProxy per service."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

import attrs

from immutable.errors import Ambiguous, Conflict, InvalidInput
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
from immutable.protocols import SwitchCapabilities
from immutable.urls import Url
from immutable_haproxy import members as running
from immutable_haproxy.config import HAProxyConfig
from immutable_haproxy.errors import (
    Refusal,
    Silence,
    files_of,
    moved,
    unknown,
    unreachable,
)
from immutable_haproxy.fence import (
    NEVER_SET_UP,
    Reading,
    Transaction,
    WriteTimings,
    read,
)
from immutable_haproxy.installing import install, uninstall
from immutable_haproxy.process import (
    choose,
    choose_preview,
    ensure_running,
    is_supervised,
)
from immutable_haproxy.rendering import PREVIEW_HEADER, render
from immutable_haproxy.routing import Table, family_of, from_text, to_text, with_place
from immutable_haproxy.runtime import Conversation, conversation
from immutable_haproxy.servers import Server, changes, probe_of, wanted_servers
from immutable_haproxy.settings import Settings, load
from immutable_haproxy.storage import Home, replace, writing

CAPABILITIES = SwitchCapabilities(
    fencing="compare-and-set",
    weighted=True,
    preview=True,
    counts_sessions=True,
    settle=timedelta(),
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
    return HAProxySwitch(service=service, config=config)


class HAProxySwitch:
    """One service's HAProxy. It outlives this process and ends only by `shut_down`.

    Safe to use from several threads and processes at once. HAProxy is started by the
    first write; a reading of a switch that was set up starts it again where it does not
    run, with the same routing and members.

    Attributes:
        capabilities: what the engine may ask of it.
        last_write: where the time of this object's last write went, None before it.
    """

    def __init__(self, *, service: ServiceName, config: HAProxyConfig) -> None:
        self.capabilities = CAPABILITIES
        self.last_write: WriteTimings | None = None
        self._service = service
        self._config = config
        self._home = Home(config.directory)

    def preflight(self) -> None:
        """Check that the switch could be set up, without any effect.

        Raises:
            Unavailable, Unsupported: HAProxy is not installed, or too old.
            Taken, PermissionDenied: an address cannot be listened on.
            InvalidInput: it was set up with other options.
        """
        if self._settings() is None:
            choose(self._service, self._config)

    def endpoints(self) -> tuple[Endpoint, Endpoint]:
        """Return where clients connect: production first, then the preview route.

        Before the switch is set up, the preview port is the one that would be chosen.
        """
        settings = self._settings()
        listen = self._config.listen
        production = Endpoint(host=_reachable(listen.host), port=listen.port)
        if settings is not None and settings.nonce:
            headers = ((PREVIEW_HEADER, settings.nonce),)
            return production, attrs.evolve(production, headers=headers)
        preview = settings.preview if settings else self._future_preview()
        return production, Endpoint(host=_reachable(preview.host), port=preview.port)

    def read(self) -> SwitchView:
        """Return routing, attachments, owner and version in one consistent reading.

        What it returns is durable: a file that a dead writer left behind is put right.
        """
        with files_of(self._home.directory):
            settings = self._settings()
            if settings is None:
                return SwitchView(routing=Routing(), version=NEVER_SET_UP)
            with self._talk(settings) as talk:
                reading = read(talk)
                if self._stored() != reading.entries:
                    with writing(self._home):
                        reading = read(talk)
                        self._repair(reading)
            return _view(reading)

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
        slots = self._config.slots

        def edit(table: Table) -> Table:
            owned = attrs.evolve(table, owner=owner)
            if owned.place_of(fleet) is not None:
                return owned
            return with_place(owned, fleet, health, slots=slots)

        return self._change("switch.attach", expected, edit)

    def write(self, routing: Routing, *, owner: LedgerId, expected: Version) -> Version:
        """Set the whole routing in one atomic step and return the new version.

        Raises:
            Conflict: the version is no longer ``expected``; nothing was changed.
            Ambiguous: it may or may not be served; read to know.
            InvalidInput: a fleet in it is not attached; nothing was changed.
        """

        def edit(table: Table) -> Table:
            for fleet in {*dict(routing.weights), routing.preview} - {None}:
                table.slot_of(FleetName(str(fleet)))
            return attrs.evolve(table, routing=routing, owner=owner)

        return self._change("switch.write", expected, edit)

    def detach(self, fleet: FleetName, *, owner: LedgerId, expected: Version) -> Version:
        """Take away the fleet's slot, ending what its members still serve.

        Raises:
            Conflict: the version is no longer ``expected``, or the fleet has weight or
                is previewed; nothing was changed.
        """

        def edit(table: Table) -> Table:
            if table.routing.mentions(fleet):
                raise moved("switch.detach", fleet, f"fleet {fleet} still gets requests")
            places = tuple(place for place in table.places if place.fleet != fleet)
            if places == table.places:
                return table
            return attrs.evolve(table, places=places, owner=owner)

        if expected == NEVER_SET_UP and self._settings() is None:
            return expected
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
        with self._members_of(fleet) as (talk, reading, settings):
            place = reading.table.place_of(fleet)
            if place is None:
                raise moved("switch.join", fleet, f"fleet {fleet} is not attached")
            wanted = wanted_servers(place.slot, members, place.health)
            own = [s for s in reading.servers if s.slot == place.slot]
            others = [s for s in reading.servers if s.slot != place.slot]
            plan = changes(own, wanted)
            self._store_members(settings, reading.table, (*others, *wanted))
            running.apply(talk, plan, settings.config.probing)
        if plan.drain:
            self._finish(fleet, plan.drain, drain)

    def health(self, fleet: FleetName) -> tuple[Probe, ...]:
        """Return one probe for each member, in order of joining.

        ``READY`` needs a recorded passing probe; before the first one, and while a ready
        member's latest probe failed but does not yet count, it is ``UNKNOWN``.
        """
        with self._looking(fleet) as (talk, reading, slot):
            if not slot:
                return ()
            names = {s.name for s in reading.servers if s.slot == slot and s.is_member}
            rows = running.statistics(talk, slot)
            return tuple(probe_of(row) for row in rows if row["svname"] in names)

    def sessions(self, fleet: FleetName) -> int | None:
        """Return how many requests (in mode ``tcp``: connections) the fleet is serving.

        A client that is connected but waits for nothing is not counted: its next request
        goes where the routing says.
        """
        with self._looking(fleet) as (talk, _, slot):
            return running.count_sessions(talk, slot) if slot else 0

    def shut_down(self) -> None:
        """End HAProxy and its restarter, and forget the routing.

        Afterwards the switch reads as never set up. One that was not is no error.

        Raises:
            Unavailable, PermissionDenied: it may still run.
        """
        if not self._home.directory.exists():
            return
        with files_of(self._home.directory), writing(self._home):
            uninstall(self._home)
