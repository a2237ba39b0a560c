"""Listeners of load balancers: they forward what they get to a member of a pool."""

import asyncio
import contextlib
import random
import time
from asyncio import StreamReader, StreamWriter
from collections import Counter

import attrs

from emulators.plane.pools import Member, Pool
from emulators.plane.routing import Action, Share, Table
from emulators.plane.wire import (
    Broken,
    Request,
    Response,
    fetch,
    read_request,
)

Chosen = tuple[Pool, Member] | Response
"""Who is to answer; or the answer, where nobody is."""
_NO_TARGET, _BAD_TARGET, _SLOW_TARGET = 503, 502, 504


@attrs.define(eq=False, kw_only=True)
class Listener:
    """One port of a load balancer, served by several nodes.

    A change of the rules is heard of by each node at its own time, up to ``spread_s``
    after it was made: between the first and the last, nodes differ. A connection stays
    with the node that took it; a new one goes to one of those
    that have the fewest, in turn.
    """

    address: str
    port: int
    nodes: int = 2
    spread_s: float = 0.0
    sticks: bool = False
    """Whether a connection stays with the target it was first given, as on a balancer of
    connections: a change of the rules is then for new connections only."""
    idle_s: float = 60.0
    """How long a target may take to answer."""
    forwarded: int = attrs.field(default=0, init=False)
    bound: int = attrs.field(default=0, init=False)
    """The port it really listens on."""
    _tables: list[tuple[float, Table]] = attrs.field(factory=list, init=False)
    _server: asyncio.Server | None = attrs.field(default=None, init=False)
    _writers: dict[StreamWriter, int] = attrs.field(factory=dict, init=False)
    """The node of each open connection."""
    _taken: int = attrs.field(default=0, init=False)

    @property
    def url(self) -> str:
        """Return where clients find it."""
        return f"http://{self.address}:{self.bound}"

    @property
    def table(self) -> Table:
        """Return the rules as they were last set."""
        return self._tables[-1][1] if self._tables else Table()

    def publish(self, table: Table) -> None:
        """Set the rules: the nodes hear of it one after another."""
        now = time.monotonic()
        current = [each for each in self._tables if each[0] > now - self.spread_s]
        older = self._tables[: len(self._tables) - len(current)][-1:]
        self._tables = [*older, *current, (now, table)]

    def seen_by(self, node: int) -> Table:
        """Return the rules as a node knows them now."""
        late = self.spread_s * node / max(self.nodes - 1, 1)
        known = time.monotonic() - late
        heard = [table for since, table in self._tables if since <= known]
        return heard[-1] if heard else self._tables[0][1] if self._tables else Table()

    async def open(self) -> None:
        """Begin to listen; on some other port where this one needs a privilege."""
        try:
            server = await asyncio.start_server(self._serve, self.address, self.port)
        except PermissionError:
            server = await asyncio.start_server(self._serve, self.address, 0)
        self._server = server
        self.bound = server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Listen no more, and cut what is open."""
        if self._server:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        node = self._writers[writer] = self._next_node()
        try:
            with contextlib.suppress(Broken, OSError):
                await self._converse(node, reader, writer)
        finally:
            del self._writers[writer]
            writer.close()

    def _next_node(self) -> int:
        self._taken += 1
        has = Counter(self._writers.values())
        turn = (self._taken + node for node in range(self.nodes))
        return min((each % self.nodes for each in turn), key=lambda node: has[node])

    async def _converse(
        self, node: int, reader: StreamReader, writer: StreamWriter
    ) -> None:
        source = str(writer.get_extra_info("peername")[0])
        kept: Chosen | None = None
        while request := await read_request(reader, source):
            chosen = kept or _choose(self.seen_by(node).action_for(request))
            kept = chosen if self.sticks and not isinstance(chosen, Response) else None
            answer = await self._perform(chosen, request)
            writer.write(answer.encode())
            await writer.drain()
            if not request.stays:
                return

    async def _perform(self, chosen: Chosen, request: Request) -> Response:
        if isinstance(chosen, Response):
            return chosen
        answer = await self._ask(*chosen, request)
        if isinstance(answer, Response):
            return answer
        status, why = answer
        chosen[0].unanswered[status] += 1
        return _said(status, why)

    async def _ask(
        self, pool: Pool, member: Member, request: Request
    ) -> Response | tuple[int, str]:
        """Return a member's answer, or the status and the reason where there is none."""
        address = pool.resolve(member.id, member.port)
        if address is None:
            return _BAD_TARGET, "the target does not run"
        self.forwarded += 1
        began = time.monotonic()
        try:
            answer = await self._relay(address, request)
        except TimeoutError:
            return _SLOW_TARGET, "the target takes too long"
        except Broken as error:
            return _BAD_TARGET, str(error)
        pool.answered[answer.status] += 1
        pool.took_s += time.monotonic() - began
        return answer

    async def _relay(self, address: tuple[str, int], request: Request) -> Response:
        headers = {**request.headers, "x-forwarded-for": request.source}
        forwarded = attrs.evolve(request, headers=headers)
        answer = await fetch(address, forwarded, timeout_s=self.idle_s)
        kept = {k: v for k, v in answer.headers.items() if k != "connection"}
        return attrs.evolve(answer, headers=kept)


def _choose(action: Action | None) -> Chosen:
    """Choose who is to answer, or say what there is to say."""
    if action is None:
        return _said(404, "no rule")
    if action.fixed is not None:
        return action.fixed
    share = _draw(action.shares)
    member = share.pool.pick() if share else None
    if share is None or member is None:
        return _said(_NO_TARGET, "no target is registered")
    return share.pool, member


def _draw(shares: tuple[Share, ...]) -> Share | None:
    weights = [share.weight for share in shares]
    if not any(weights):
        return None
    return random.choices(shares, weights)[0]


def _said(status: int, what: str) -> Response:
    headers = {"content-type": "text/plain", "x-said": what}
    return Response(status=status, headers=headers, body=what.encode())
