"""One switch's HAProxy and its files: found running, read, changed, kept in step."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager

import attrs

from immutable.errors import Conflict, InvalidInput
from immutable.model import ServiceName, Version
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
from immutable_haproxy.installing import install
from immutable_haproxy.members import busy_among, remove
from immutable_haproxy.process import choose, ensure_running, is_supervised
from immutable_haproxy.rendering import render
from immutable_haproxy.routing import Table, from_text, to_text
from immutable_haproxy.runtime import Conversation, conversation
from immutable_haproxy.servers import Server
from immutable_haproxy.settings import Settings, load
from immutable_haproxy.storage import Home, replace, writing


@attrs.frozen
class Session:
    """HAProxy, as it was when a conversation with it began."""

    talk: Conversation
    settings: Settings
    reading: Reading


@attrs.frozen(kw_only=True)
class Controller:
    """Finds, starts, reads and changes the HAProxy of one directory."""

    service: ServiceName
    port: int
    config: HAProxyConfig
    home: Home

    def settings(self) -> Settings | None:
        """Return what was decided when the switch was set up, None before that.

        Raises:
            InvalidInput: it was set up for another service, or with other options.
        """
        with files_of(self.home.directory):
            settings = load(self.home)
        if settings is not None:
            _check_same(settings, self.service, self.config)
        return settings

    @contextmanager
    def looking(self) -> Iterator[Session | None]:
        """Read HAProxy, which is started if need be; None when it was never set up."""
        settings = self.settings()
        if settings is None:
            yield None
            return
        with files_of(self.home.directory), self._talk(settings) as talk:
            yield Session(talk, settings, self._in_step(talk, read(talk)))

    @contextmanager
    def changing(self) -> Iterator[Session | None]:
        """Read HAProxy while no other writer can change its members or files."""
        settings = self.settings()
        if settings is None:
            yield None
            return
        directory = self.home.directory
        with files_of(directory), writing(self.home), self._talk(settings) as talk:
            yield Session(talk, settings, read(talk))

    def change(
        self, operation: str, expected: Version, edit: Callable[[Table], Table]
    ) -> tuple[Version, WriteTimings | None]:
        """Change the map in one step, setting the switch up first if it never was.

        Returns:
            The new version and where the time went; the old version and None when
            ``edit`` returned the very table it was given.

        Raises:
            Conflict: the version is no longer ``expected``; nothing was changed.
            Ambiguous: it may or may not be served.
        """
        empty = Table()
        if expected == NEVER_SET_UP and edit(empty) is empty:
            # Nothing to say is no reason to start anything, but may come too late.
            self._first(operation, expected)
            return expected, None
        choice = self._make_home(operation, expected)
        with files_of(self.home.directory), writing(self.home):
            settings = self._install(operation, expected, choice)
            with self._talk(settings) as talk:
                session = Session(talk, settings, read(talk))
                if expected not in {NEVER_SET_UP, session.reading.stamp.version}:
                    raise self._overtaken(operation)
                return self._commit(operation, session, edit(session.reading.table))

    def store_members(self, session: Session, servers: Iterable[Server]) -> None:
        """Write the members that a restart begins with, before changing them."""
        slots = {place.slot for place in session.reading.table.places}
        members = [s for s in servers if s.slot in slots and s.is_member]
        text = render(session.settings, members)
        if self.home.configuration.read_text(encoding="utf-8") != text:
            replace(self.home.configuration, text)

    def _commit(
        self, operation: str, session: Session, table: Table
    ) -> tuple[Version, WriteTimings | None]:
        reading = session.reading
        if table is reading.table:
            self._repair(reading)
            return reading.stamp.version, None
        # Before a slot is given out again, nothing of its last fleet may be left in it.
        self._purge(session, reading.table)
        transaction = Transaction(session.talk, self.home, operation)
        stamp, timings = transaction.change(reading, table)
        try:
            self._purge(session, table, also=_abandoned(session))
        except (Silence, Refusal) as exc:
            raise unknown(operation, str(self.home.directory), exc) from exc
        return stamp.version, timings

    def _purge(
        self, session: Session, table: Table, *, also: tuple[Server, ...] = ()
    ) -> None:
        """Delete what is in no fleet's slot, and what is named; keep the file in step."""
        slots = {place.slot for place in table.places}
        strays = [
            s for s in session.reading.servers if s.slot not in slots or s in also
        ]
        # A writer that died while members joined left them in the file alone.
        is_freed = any(p.slot not in slots for p in session.reading.table.places)
        if strays or is_freed:
            kept = [s for s in session.reading.servers if s not in strays]
            self.store_members(session, kept)
            remove(session.talk, strays)

    def _first(self, operation: str, expected: Version) -> Settings | None:
        """Return the settings; that there are none must be what the caller read."""
        settings = self.settings()
        if (settings is None) != (expected == NEVER_SET_UP):
            raise self._overtaken(operation)
        return settings

    def _make_home(self, operation: str, expected: Version) -> Settings:
        settings = self._first(operation, expected)
        if settings is None:
            settings = choose(self.service, self.config)
            with files_of(self.home.directory):
                self.home.create()
        return settings

    def _install(self, operation: str, expected: Version, choice: Settings) -> Settings:
        if self._first(operation, expected) is None:
            install(self.home, choice)
        return choice

    @contextmanager
    def _talk(self, settings: Settings) -> Iterator[Conversation]:
        with ExitStack() as stack, self._answering():
            if not is_supervised(self.home):
                ensure_running(self.home, settings)
            try:
                talk = stack.enter_context(conversation(self.home.socket))
            except Silence:
                ensure_running(self.home, settings)
                talk = stack.enter_context(conversation(self.home.socket))
            yield talk

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except (Silence, Refusal) as exc:
            resource = str(self.home.directory)
            raise unreachable(resource, exc, log=self.home.log) from exc

    def _overtaken(self, operation: str) -> Conflict:
        resource = str(self.home.directory)
        return moved(operation, resource, "the switch has moved since it was read")

    def _in_step(self, talk: Conversation, reading: Reading) -> Reading:
        if self._stored() == reading.entries:
            return reading
        with writing(self.home):
            again = read(talk)
            self._repair(again)
        return again

    def _repair(self, reading: Reading) -> None:
        if self._stored() != reading.entries:
            replace(self.home.routing, to_text(reading.entries))

    def _stored(self) -> dict[str, str]:
        return from_text(self.home.routing.read_text(encoding="utf-8"))


def _abandoned(session: Session) -> tuple[Server, ...]:
    """Return the servers that a dead writer left half made, or leaving with nothing to do.

    Nobody is making any now: writers exclude each other. One that leaves is no longer
    chosen; if it is idle, nothing is cut short.
    """
    halves = [server for server in session.reading.servers if not server.is_member]
    busy = busy_among(session.talk, halves)
    return tuple(s for s in halves if not (s.is_leaving and s in busy))


def _check_same(settings: Settings, service: str, config: HAProxyConfig) -> None:
    if settings.service != service:
        raise InvalidInput(
            f"{config.directory} is the switch of service {settings.service}",
            hint="give this service a directory of its own: directory=PATH",
        )
    then, now = settings.config.to_options(), config.to_options()
    changed = sorted(name for name in then | now if then.get(name) != now.get(name))
    if changed:
        was = ", ".join(f"{name}={then.get(name, 'not given')}" for name in changed)
        raise InvalidInput(
            f"the switch of {service} runs with {was}",
            hint="use the same options, or shut_down() and set it up again",
        )
