"""Machines: each is a server on an address of its own, doing what its image says."""

import asyncio
import contextlib
import fnmatch
import json
import re
from asyncio import StreamReader, StreamWriter

import attrs

from emulators.plane.behaviour import Behaviour
from emulators.plane.wire import Broken, Request, Response, read_request

_DIGEST = re.compile(rb"digest\W{1,8}([0-9a-f]{16,64})")
_UNHEALTHY, _FAILED, _FINE = 503, 500, 200


@attrs.define(eq=False, kw_only=True)
class Machine:
    """One machine. Everything of it happens in the data plane's thread."""

    id: str
    image: str
    address: str
    behaviour: Behaviour
    user_data: bytes = b""
    console: list[str] = attrs.field(factory=list, init=False)
    served: int = attrs.field(default=0, init=False)
    ports: dict[int, int] = attrs.field(factory=dict, init=False)
    """Where it really listens, by the port it believes to have."""
    _servers: list[asyncio.Server] = attrs.field(factory=list, init=False)
    _connections: set[StreamWriter] = attrs.field(factory=set, init=False)
    _life: asyncio.Task[None] | None = attrs.field(default=None, init=False)

    @property
    def release(self) -> str:
        """Return what it calls itself."""
        return self.behaviour.release or self.image

    async def boot(self) -> None:
        """Begin to live: listen when the application is up, crash when it is time."""
        self.console += [f"{self.id} boots {self.image}", *self.behaviour.prints]
        self._life = asyncio.create_task(self._live())

    async def halt(self) -> None:
        """End it at once: connections are cut, nobody answers any more."""
        if self._life:
            self._life.cancel()
        self._stop("halted")

    def where(self, port: int) -> tuple[str, int]:
        """Return where to connect to, for a port as its owner knows it."""
        return self.address, self.ports.get(port, port)

    async def _live(self) -> None:
        await asyncio.sleep(self.behaviour.slow)
        if self.behaviour.deaf:
            return
        try:
            for port in self.behaviour.ports:
                await self._listen(port)
        except OSError as error:
            # the emulator's own trouble: nothing else would tell it from a deaf image
            self.console.append(f"cannot listen: {error}")
            return
        self.console.append(f"release {self.release} listens")
        if self.behaviour.crash is not None:
            await asyncio.sleep(self.behaviour.crash)
            self._stop("the application crashed")

    async def _listen(self, port: int) -> None:
        try:
            server = await asyncio.start_server(self._serve, self.address, port)
        except PermissionError:
            # ports below 1024 need a privilege; those who ask `where` do not notice
            server = await asyncio.start_server(self._serve, self.address, 0)
        self.ports[port] = server.sockets[0].getsockname()[1]
        self._servers.append(server)

    def _stop(self, why: str) -> None:
        for server in self._servers:
            server.close()
        for connection in self._connections:
            connection.transport.abort()
        if self._servers:
            self.console.append(why)
        self._servers.clear()

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._connections.add(writer)
        try:
            with contextlib.suppress(Broken, OSError):
                await self._converse(reader, writer)
        finally:
            self._connections.discard(writer)
            writer.close()

    async def _converse(self, reader: StreamReader, writer: StreamWriter) -> None:
        source = str(writer.get_extra_info("peername")[0])
        while request := await read_request(reader, source):
            await asyncio.sleep(self.behaviour.delay)
            writer.write(self.answer(request).encode())
            await writer.drain()
            if not request.stays:
                return

    def answer(self, request: Request) -> Response:
        """Answer as the image says: who it is, and how it feels."""
        self.served += 1
        path = request.path.partition("?")[0]
        failed = any(fnmatch.fnmatchcase(path, each) for each in self.behaviour.fail)
        status = _UNHEALTHY if self.behaviour.sick else _FAILED if failed else _FINE
        headers = {
            "content-type": "application/json",
            "x-release": self.release,
            "x-instance": self.id,
        }
        return Response(status=status, headers=headers, body=self._identity(path))

    def _identity(self, path: str) -> bytes:
        digest = _DIGEST.search(self.user_data)
        found = {
            "release": self.release,
            "image": self.image,
            "instance": self.id,
            "digest": digest.group(1).decode() if digest else None,
            "path": path,
        }
        return json.dumps(found).encode()
