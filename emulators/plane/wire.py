"""As much of HTTP/1.1 as machines, balancers and clients on loopback need."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import Mapping
from http import HTTPStatus

import attrs

_HEAD_BYTES = 65536


class Broken(Exception):
    """A peer went away, or does not speak HTTP."""


@attrs.frozen(kw_only=True)
class Request:
    """One request, as it came; header names are lower case."""

    method: str = "GET"
    path: str = "/"
    """With its query string."""
    headers: Mapping[str, str] = attrs.field(factory=dict)
    body: bytes = b""
    source: str = "127.0.0.1"
    """The address it came from."""

    @property
    def stays(self) -> bool:
        """Return whether the connection is kept for the next request."""
        return self.headers.get("connection", "").lower() != "close"

    def encode(self) -> bytes:
        """Return the bytes of it."""
        return _encode(f"{self.method} {self.path} HTTP/1.1", self.headers, self.body)


@attrs.frozen(kw_only=True)
class Response:
    """One answer."""

    status: int = 200
    headers: Mapping[str, str] = attrs.field(factory=dict)
    body: bytes = b""

    def encode(self) -> bytes:
        """Return the bytes of it."""
        try:
            phrase = HTTPStatus(self.status).phrase
        except ValueError:
            phrase = "Unknown"
        return _encode(f"HTTP/1.1 {self.status} {phrase}", self.headers, self.body)


async def read_request(reader: StreamReader, source: str) -> Request | None:
    """Read a request, or None at the end of the connection.

    Raises:
        Broken: the peer went away in the middle of it.
    """
    head = await _read_head(reader)
    if head is None:
        return None
    first, headers = head
    words = first.split(" ")
    if len(words) != len(("method", "path", "version")):
        raise Broken(f"no request: {first!r}")
    body = await _read_body(reader, headers)
    return Request(
        method=words[0], path=words[1], headers=headers, body=body, source=source
    )


async def read_response(reader: StreamReader) -> Response:
    """Read an answer.

    Raises:
        Broken: there is none, or not all of it.
    """
    head = await _read_head(reader)
    if head is None:
        raise Broken("closed without an answer")
    first, headers = head
    words = first.split(" ")
    if len(words) < len(("version", "status")) or not words[1].isdigit():
        raise Broken(f"no answer: {first!r}")
    body = await _read_body(reader, headers)
    return Response(status=int(words[1]), headers=headers, body=body)


async def fetch(
    address: tuple[str, int], request: Request, *, timeout_s: float
) -> Response:
    """Ask one address once, over a connection of its own.

    Raises:
        Broken: nobody listens there, or the connection broke.
        TimeoutError: no answer in time.
    """
    async with asyncio.timeout(timeout_s):
        reader, writer = await connect(address)
        try:
            headers = {**request.headers, "connection": "close"}
            writer.write(attrs.evolve(request, headers=headers).encode())
            return await read_response(reader)
        except OSError as error:
            raise Broken(str(error)) from error
        finally:
            writer.close()


async def connect(
    address: tuple[str, int], source: str | None = None
) -> tuple[StreamReader, StreamWriter]:
    """Open a connection, from an address of the caller's choice.

    Raises:
        Broken: nobody listens there.
    """
    local = (source, 0) if source else None
    try:
        return await asyncio.open_connection(
            *address, limit=_HEAD_BYTES, local_addr=local
        )
    except OSError as error:
        raise Broken(str(error)) from error


async def _read_head(reader: StreamReader) -> tuple[str, dict[str, str]] | None:
    try:
        raw = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise Broken("cut within a head") from error
        return None
    except (OSError, asyncio.LimitOverrunError) as error:
        raise Broken(str(error)) from error
    first, *lines = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return first, {name.strip().lower(): value.strip() for name, _, value in pairs}


async def _read_body(reader: StreamReader, headers: Mapping[str, str]) -> bytes:
    size = int(headers.get("content-length", "0") or 0)
    try:
        return await reader.readexactly(size) if size else b""
    except (OSError, asyncio.IncompleteReadError) as error:
        raise Broken("cut within a body") from error


def _encode(first: str, headers: Mapping[str, str], body: bytes) -> bytes:
    kept = {k: v for k, v in headers.items() if k.lower() != "content-length"}
    lines = [first, *(f"{name}: {value}" for name, value in kept.items())]
    head = "\r\n".join([*lines, f"content-length: {len(body)}"])
    return head.encode("latin-1") + b"\r\n\r\n" + body
