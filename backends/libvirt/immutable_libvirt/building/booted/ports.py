"""A builder's serial ports, as sockets that its hypervisor connects to."""

import re
import selectors
import socket
from datetime import timedelta
from pathlib import Path

import attrs

from immutable.errors import InvalidInput
from immutable_libvirt.logs import harmless

_LONGEST_PATH = 107
_LONGEST_LINE = 8192
_CHUNK = 1 << 16
# As text files are read: a progress bar that returns to the line's beginning is lines.
# A return at the very end may have its newline yet to come.
_END = re.compile(rb"\r+\n|\n|\r(?=[^\r\n])")
# libvirt gives it to QEMU's user: nobody else may speak for the builder.
_PRIVATE = 0o600


@attrs.define(kw_only=True, eq=False)
class Port:
    """One port: what has come in and is no whole line yet."""

    listening: socket.socket
    _connected: socket.socket | None = attrs.field(default=None, init=False)
    _rest: bytes = attrs.field(default=b"", init=False)
    is_open: bool = attrs.field(default=True, init=False)

    @classmethod
    def at(cls, path: Path) -> "Port":
        """Listen at a path that does not exist yet.

        Raises:
            InvalidInput: the path is too long for a socket.
        """
        if len(str(path).encode()) > _LONGEST_PATH:
            raise InvalidInput(
                f"{path} is too long for a socket",
                hint="name a pool with a shorter path with ?pool=/path",
                operation="images.build",
                backend="libvirt",
            )
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(str(path))
        path.chmod(_PRIVATE)
        listening.listen(1)
        return cls(listening=listening)

    def fileno(self) -> int:
        """Return the descriptor on which something happens next."""
        return (self._connected or self.listening).fileno()

    def take(self) -> tuple[str, ...]:
        """Return the lines that have come in; something has happened on the port."""
        if self._connected is None:
            self._connected, _ = self.listening.accept()
            return ()
        data = _received(self._connected)
        if not data:
            self.is_open = False
            data = b"\n" if self._rest else b""
        *lines, self._rest = _END.split(self._rest + data)
        if len(self._rest) > _LONGEST_LINE:
            lines, self._rest = [*lines, self._rest], b""
        return tuple(harmless(line[:_LONGEST_LINE]) for line in lines)

    def close(self) -> None:
        """Close it."""
        self.is_open = False
        for end in (self._connected, self.listening):
            if end is not None:
                end.close()


def wait_for(ports: tuple[Port, ...], wait: timedelta) -> tuple[Port, ...]:
    """Return the ports on which something has happened, after at most so long."""
    with selectors.DefaultSelector() as selector:
        for port in ports:
            if port.is_open:
                selector.register(port, selectors.EVENT_READ)
        ready = {key.fileobj for key, _ in selector.select(wait.total_seconds())}
    return tuple(port for port in ports if port in ready)


def _received(connected: socket.socket) -> bytes:
    try:
        return connected.recv(_CHUNK)
    except ConnectionResetError:
        return b""
