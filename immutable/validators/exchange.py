"""One GET over one fresh connection: bounded in time and size, followed nowhere.

No proxy, no redirect, no reuse; certificates are always checked. Whatever goes wrong ends
as `NoAnswer` (nothing was learned about the fleet) or `BadAnswer` (it did answer, and this
is wrong).
"""

import contextlib
import http.client
import time
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from immutable.model import Endpoint
from immutable.validators.connection import Connection, Unacceptable, connect
from immutable.validators.evidence import excerpt

if TYPE_CHECKING:
    from immutable.validators.tls import TlsConnection

BODY_LIMIT_BYTES = 64 * 1024
_HEAD_LIMIT_BYTES = 32 * 1024
# A chunked body is larger on the wire than what it says.
_WIRE_LIMIT_BYTES = 2 * BODY_LIMIT_BYTES
_TROUBLE = (OSError, http.client.HTTPException, Unacceptable)


class NoAnswer(Exception):
    """No complete answer came: nothing is known."""


class BadAnswer(Exception):
    """What came is no acceptable answer."""


class Answer:
    """A status, and a body that is read when it is asked for."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self._response = response
        self.status = response.status

    def body(self) -> bytes:
        """Return the whole body.

        Raises:
            Unacceptable: it is longer than ``BODY_LIMIT_BYTES``.
            http.client.IncompleteRead: the connection ended before the body did.
        """
        body = self._response.read(BODY_LIMIT_BYTES + 1)
        if len(body) > BODY_LIMIT_BYTES:
            raise Unacceptable(f"the body is longer than {BODY_LIMIT_BYTES} bytes")
        # With a length given, http.client itself is silent about a body cut short.
        if self._response.length:
            raise http.client.IncompleteRead(body, self._response.length)
        return body

    def start(self) -> bytes:
        """Return the first bytes of the body, or nothing when reading goes wrong."""
        with contextlib.suppress(*_TROUBLE):
            return self._response.read1(1024)
        return b""


@contextlib.contextmanager
def get(
    endpoint: Endpoint, path: str, *, headers: Mapping[str, str], timeout: timedelta
) -> Iterator[Answer]:
    """Ask the endpoint for a path; the answer is readable inside the ``with`` block.

    Args:
        endpoint: where to connect. Its headers choose the route and win over others.
        path: the request target, valid as it stands.
        headers: more headers, valid as they stand.
        timeout: for everything, from the connection to the body's last byte.

    Raises:
        NoAnswer: nobody answered, or not in time, or not to the end.
        BadAnswer: the answer is not HTTP or too large, or may not be asked for.
    """
    deadline = time.monotonic() + timeout.total_seconds()
    try:
        request = _headers(endpoint, headers)
        with (
            _connected(endpoint, request, deadline) as connection,
            contextlib.closing(_ask(connection, path, request)) as response,
        ):
            connection.allowance_bytes = _WIRE_LIMIT_BYTES
            yield Answer(response)
    except (OSError, http.client.IncompleteRead) as exc:
        raise NoAnswer(_reason(exc)) from exc
    except (http.client.HTTPException, Unacceptable) as exc:
        raise BadAnswer(_reason(exc)) from exc


def _connected(
    endpoint: Endpoint, headers: Mapping[str, str], deadline: float
) -> "Connection | TlsConnection":
    plain = connect(endpoint.host, endpoint.port, deadline=deadline)
    if endpoint.scheme == "http":
        return plain
    # loading it takes longer than all else here, and most fleets are asked without
    from immutable.validators.tls import secured

    named = next(v for n, v in headers.items() if n.lower() == "host")
    host = (
        endpoint.host
        if named == endpoint.authority
        else urlsplit(f"//{named}").hostname
    )
    return secured(plain, name=host or endpoint.host)


def _headers(endpoint: Endpoint, more: Mapping[str, str]) -> dict[str, str]:
    defaults = {
        "Host": endpoint.authority,
        "User-Agent": "immutable",
        # Text is compared, so it must not come compressed.
        "Accept-Encoding": "identity",
        "Connection": "close",
    }
    merged: dict[str, tuple[str, str]] = {}
    for source in (defaults, more, dict(endpoint.headers)):
        merged |= {name.lower(): (name, value) for name, value in source.items()}
    return dict(merged.values())


def _ask(
    connection: "Connection | TlsConnection", path: str, headers: Mapping[str, str]
) -> http.client.HTTPResponse:
    connection.allowance_bytes = _HEAD_LIMIT_BYTES
    client = http.client.HTTPConnection("fleet")
    client.sock = connection
    client.putrequest("GET", path, skip_host=True, skip_accept_encoding=True)
    for name, value in headers.items():
        client.putheader(name, value)
    client.endheaders()
    return client.getresponse()


def _reason(exc: Exception) -> str:
    if isinstance(exc, http.client.IncompleteRead):
        return "it was cut off"
    return excerpt(str(exc), limit=80) or type(exc).__name__
