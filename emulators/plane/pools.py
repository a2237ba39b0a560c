"""Pools of targets, whose health is what probing them has shown."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from typing import Literal

import attrs

from emulators.plane.wire import Broken, Request, Response, connect, fetch

State = Literal["initial", "healthy", "unhealthy", "draining"]
_AT_ONCE = 64
_PROBE_S = 0.008


@attrs.frozen(kw_only=True)
class Check:
    """How a pool's targets are probed; times are real seconds."""

    protocol: Literal["HTTP", "TCP"] = "HTTP"
    path: str = "/"
    port: int | None = None
    """None for the port that takes the traffic."""
    interval_s: float = 0.3
    timeout_s: float = 1.0
    healthy: int = 5
    unhealthy: int = 2
    codes: tuple[tuple[int, int], ...] = ((200, 200),)
    """Ranges of status codes that are fine, both ends included."""

    def accepts(self, status: int) -> bool:
        """Return whether a status is one of a healthy target."""
        return any(low <= status <= high for low, high in self.codes)


@attrs.define(eq=False, kw_only=True)
class Member:
    """One target of a pool, and what is known of its health."""

    id: str
    port: int
    state: State = "initial"
    reason: str = ""
    """Why it is not healthy: ``code:503``, ``timeout``, ``failed``; empty if not known."""
    drained_at: float | None = None
    streak: int = 0
    """So many probes in a row that disagree with the state."""

    @property
    def key(self) -> tuple[str, int]:
        """Return what it is known by."""
        return self.id, self.port


Resolve = Callable[[str, int], tuple[str, int] | None]
"""Tells where a target's port really is; None if the target does not run."""


@attrs.define(eq=False, kw_only=True)
class Pool:
    """Targets of one kind, probed as long as traffic may come to them."""

    name: str
    check: Check
    resolve: Resolve
    port: int = 80
    """Where targets take traffic, unless they are registered with another port."""
    drain_s: float = 3.0
    used: bool = False
    """Whether a balancer names it; nobody probes a pool that none names."""
    members: dict[tuple[str, int], Member] = attrs.field(factory=dict, init=False)
    answered: Counter[int] = attrs.field(factory=Counter, init=False)
    """How often its members have answered with each status."""
    unanswered: Counter[int] = attrs.field(factory=Counter, init=False)
    """How often a balancer answered with each status, because the chosen member did not."""
    took_s: float = attrs.field(default=0.0, init=False)
    """How long their answers have taken."""
    probes: int = attrs.field(default=0, init=False)
    _task: asyncio.Task[None] | None = attrs.field(default=None, init=False)
    _next: int = attrs.field(default=0, init=False)

    def register(self, target: str, port: int) -> None:
        """Add a target, or take it back while it drains."""
        known = self.members.get((target, port))
        if known is None or known.state == "draining":
            self.members[target, port] = Member(id=target, port=port)

    def deregister(self, target: str, port: int | None = None) -> None:
        """Let a target drain: it gets no new request, and leaves when that has ended."""
        for member in list(self.members.values()):
            meant = member.id == target and port in (None, member.port)
            if meant and member.state != "draining":
                member.state = "draining"
                member.drained_at = time.monotonic() + self.drain_s

    def settle(self) -> None:
        """Let those leave whose draining has ended."""
        now = time.monotonic()
        for key, member in list(self.members.items()):
            if member.drained_at is not None and member.drained_at <= now:
                self.members.pop(key, None)

    def pick(self) -> Member | None:
        """Return whose turn it is; among all of them if none is healthy."""
        able = [m for m in list(self.members.values()) if m.state != "draining"]
        chosen = [m for m in able if m.state == "healthy"] or able
        if not chosen:
            return None
        self._next += 1
        return chosen[self._next % len(chosen)]

    async def open(self) -> None:
        """Begin to probe."""
        self._task = asyncio.create_task(self._probe())

    async def close(self) -> None:
        """Probe no more."""
        if self._task:
            self._task.cancel()

    async def _probe(self) -> None:
        gate = asyncio.Semaphore(_AT_ONCE)
        while True:
            self.settle()
            if self.used:
                due = [m for m in self.members.values() if m.state != "draining"]
                await asyncio.gather(*(self._look(member, gate) for member in due))
            # many targets on few processors: rather later than nothing else
            least = _PROBE_S * len(self.members)
            await asyncio.sleep(max(self.check.interval_s, least))

    async def _look(self, member: Member, gate: asyncio.Semaphore) -> None:
        async with gate:
            reason = await self._ask(member)
        if member.state != "draining":
            self._note(member, reason)

    async def _ask(self, member: Member) -> str:
        """Return why a target is not fine; nothing if it is."""
        self.probes += 1
        address = self.resolve(member.id, self.check.port or member.port)
        if address is None:
            return "failed"
        try:
            return await self._examine(address)
        except TimeoutError:
            return "timeout"
        except (Broken, OSError, ValueError):
            return "failed"

    async def _examine(self, address: tuple[str, int]) -> str:
        if self.check.protocol == "TCP":
            async with asyncio.timeout(self.check.timeout_s):
                _, writer = await connect(address)
            writer.close()
            return ""
        request = Request(path=self.check.path, headers={"host": address[0]})
        answer = await fetch(address, request, timeout_s=self.check.timeout_s)
        return "" if self._is_fine(answer) else f"code:{answer.status}"

    def _is_fine(self, answer: Response) -> bool:
        return self.check.accepts(answer.status)

    def _note(self, member: Member, reason: str) -> None:
        """Change a state when as many probes in a row as asked for disagree with it.

        One good probe makes a new target healthy.
        """
        fine = not reason
        member.reason = reason or member.reason
        if member.state == ("healthy" if fine else "unhealthy"):
            member.streak = 0
            return
        member.streak += 1
        first = member.state == "initial"
        needed = self.check.healthy if fine else self.check.unhealthy
        if member.streak >= (1 if first and fine else needed):
            member.state, member.streak = ("healthy" if fine else "unhealthy"), 0
