"""TCP connections with one deadline for everything and a cap on what is received.

An ordinary socket timeout starts again with each byte, so a server that drips one byte
a second holds its client for ever. Here each wait gets only what is left of the whole.
"""

import ipaddress
import socket
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_PIECE_BYTES = 4096
# Never to be looked up (RFC 6761, 6.4): simulated switches are reached there.
_NOWHERE = ".invalid"
# Whoever asks these from inside a cloud gets credentials: AWS, Azure, Alibaba.
_METADATA = tuple(
    ipaddress.ip_network(text)
    for text in (
        "169.254.0.0/16",
        "fd00:ec2::254/128",
        "168.63.129.16/32",
        "100.100.100.200/32",
    )
)


class Unacceptable(Exception):
    """The peer is one that no validator may talk to, or says more than it may."""


class Bounded(Protocol):
    """A connection with one deadline (`time.monotonic`) for all that it receives."""

    deadline: float
    allowance_bytes: int

    def settimeout(self, value: float | None, /) -> None:
        """Set how long the next wait may take."""
        ...


class Connection(socket.socket):
    """A connected socket whose every wait ends at ``deadline`` (`time.monotonic`)."""

    deadline = 0.0
    allowance_bytes = 0
    """How much more the peer may send."""

    def recv_into(
        self, buffer: "WriteableBuffer", nbytes: int = 0, flags: int = 0
    ) -> int:
        """Receive a small piece, within the deadline and the allowance.

        Raises:
            TimeoutError: the deadline has passed.
            Unacceptable: the allowance is used up.
        """
        wanted = next_piece(self, nbytes or memoryview(buffer).nbytes)
        received = super().recv_into(buffer, wanted, flags)
        self.allowance_bytes -= received
        return received


def connect(host: str, port: int, *, deadline: float) -> Connection:
    """Return a connection to the first of the host's addresses that accepts one.

    The address that was checked is the one connected to. Looking up a host *name* is
    the system's business, not bounded by the deadline; an address needs no lookup.

    Raises:
        OSError: nobody accepts, or not in time.
        Unacceptable: the address belongs to a cloud's metadata service.
    """
    if host.endswith(_NOWHERE):
        raise OSError(f"{host} is on no network; judge by a function of the target")
    error = OSError("the host has no address")
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for family, kind, protocol, _, address in found:
        _check(str(address[0]))
        connection = Connection(family, kind, protocol)
        try:
            connection.deadline = deadline
            connection.settimeout(remaining(deadline))
            connection.connect(address)
        except OSError as exc:
            connection.close()
            error = exc
        else:
            return connection
    raise error


def _check(text: str) -> None:
    address = ipaddress.ip_address(text)
    # ::ffff:169.254.169.254 is the same machine in other words.
    address = getattr(address, "ipv4_mapped", None) or address
    if any(address in network for network in _METADATA):
        raise Unacceptable(f"{text} is a metadata service, not a fleet")


def next_piece(connection: Bounded, wanted: int) -> int:
    """Return how much to receive next; it will be waited for no longer than allowed.

    Raises:
        TimeoutError: the deadline has passed.
        Unacceptable: the allowance is used up.
    """
    if connection.allowance_bytes <= 0:
        raise Unacceptable("the answer is too large")
    connection.settimeout(remaining(connection.deadline))
    return min(wanted, _PIECE_BYTES)


def remaining(deadline: float) -> float:
    """Return the seconds until a deadline.

    Raises:
        TimeoutError: it has passed.
    """
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left
