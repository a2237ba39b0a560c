"""The connection to the libvirt daemon, which is started where nothing else would."""

import os
import threading

import attrs
import libvirt

from immutable.errors import PermissionDenied, Unavailable
from immutable_libvirt import starting
from immutable_libvirt.errors import BACKEND, is_denied


def _silent(_context: object, _error: object) -> None:
    """Keep libvirt from printing: each error also arrives as an exception."""


@attrs.define(kw_only=True)
class Daemon:
    """One connection for all threads: opened when first needed, and again when lost."""

    uri: str
    _connection: libvirt.virConnect | None = attrs.field(default=None, init=False)
    _process: int = attrs.field(default=0, init=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def connection(self) -> libvirt.virConnect:
        """Return a connection that answered just now.

        Raises:
            Unavailable: there is no daemon, and none could be started.
            PermissionDenied: the daemon does not let this user in.
        """
        with self._lock:
            # A connection does not survive a fork: its socket would be shared.
            if self._process != os.getpid() or not _answers(self._connection):
                self._connection, self._process = self._open(), os.getpid()
            return self._connection

    def _open(self) -> libvirt.virConnect:
        libvirt.registerErrorHandler(_silent, None)
        if self.uri == "qemu:///system":
            starting.start_helpers()
        try:
            return libvirt.open(self.uri)
        except libvirt.libvirtError as exc:
            # Without a system bus polkit cannot be asked, and it is libvirt who fails.
            if is_denied(exc) or (os.geteuid() != 0 and starting.is_running()):
                raise _denied(self.uri, exc) from exc
            return self._start(exc)

    def _start(self, why: libvirt.libvirtError) -> libvirt.virConnect:
        if self.uri != "qemu:///system":
            raise _unavailable(self.uri, why) from why
        starting.start_daemon(str(why))
        try:
            return libvirt.open(self.uri)
        except libvirt.libvirtError as exc:
            raise _unavailable(self.uri, exc) from exc


def _answers(connection: libvirt.virConnect | None) -> bool:
    if connection is None:
        return False
    try:
        connection.getLibVersion()
    except libvirt.libvirtError:
        return False
    return True


def _denied(uri: str, error: libvirt.libvirtError) -> PermissionDenied:
    return PermissionDenied(
        f"{uri} does not let this user in: {error}",
        hint="run as root",
        operation="connect",
        resource=uri,
        backend=BACKEND,
    )


def _unavailable(uri: str, error: libvirt.libvirtError) -> Unavailable:
    return Unavailable(
        f"the libvirt daemon at {uri} does not answer: {error}",
        hint="install libvirt-daemon-system, and see the daemon's log",
        operation="connect",
        resource=uri,
        backend=BACKEND,
        retryable=True,
    )
