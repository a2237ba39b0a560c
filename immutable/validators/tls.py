"""TLS upon a bounded connection. Certificates are always checked; nothing turns that off."""

import ssl
from typing import TYPE_CHECKING, cast

from immutable.validators.connection import Connection, next_piece, remaining

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class TlsConnection(ssl.SSLSocket):
    """The same over TLS; only `secured` makes one."""

    deadline = 0.0
    allowance_bytes = 0

    def recv_into(
        self, buffer: "WriteableBuffer", nbytes: int | None = None, flags: int = 0
    ) -> int:
        """Receive a small piece, as `Connection` does."""
        wanted = next_piece(self, nbytes or memoryview(buffer).nbytes)
        received = super().recv_into(buffer, wanted, flags)
        self.allowance_bytes -= received
        return received


def secured(plain: Connection, *, name: str) -> TlsConnection:
    """Return the connection with TLS upon it; the plain one is used up.

    Raises:
        OSError: the certificate is not good for the name, or there was no handshake in
            time. Certificates are those that the system trusts, or ``SSL_CERT_FILE``.
    """
    context = ssl.create_default_context()
    context.sslsocket_class = TlsConnection
    with plain:
        plain.settimeout(remaining(plain.deadline))
        found = context.wrap_socket(plain, server_hostname=name)
    connection = cast("TlsConnection", found)
    connection.deadline = plain.deadline
    return connection
