"""Clients that keep on asking, and remember every answer."""

import asyncio
import json
import time
from asyncio import StreamReader, StreamWriter
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import Future
from typing import Self
from urllib.parse import urlsplit

import attrs

from emulators.plane.runner import Runner
from emulators.plane.wire import Broken, Request, Response, connect, read_response

_TIMEOUT_S = 30.0
_LOST = 500
"""From this status on, a request counts as lost."""


@attrs.frozen(kw_only=True)
class Sample:
    """One request, and what became of it; times are of the monotonic clock."""

    started: float
    ended: float
    status: int
    """0 where there was no answer."""
    release: str = ""
    instance: str = ""
    client: int = 0

    @property
    def is_lost(self) -> bool:
        """Return whether the client got nothing that it can use."""
        return self.status == 0 or self.status >= _LOST


@attrs.frozen(kw_only=True)
class Report:
    """Every request of all clients, in the order in which they began."""

    samples: tuple[Sample, ...]

    @property
    def lost(self) -> tuple[Sample, ...]:
        """Return the requests that got no answer, or one from 500 on."""
        return tuple(sample for sample in self.samples if sample.is_lost)

    @property
    def releases(self) -> Counter[str]:
        """Return how often each release has answered well."""
        return Counter(s.release for s in self.samples if not s.is_lost)

    @property
    def statuses(self) -> Counter[int]:
        """Return how often each status was answered."""
        return Counter(s.status for s in self.samples)

    def since(self, moment: float) -> "Report":
        """Return those requests that began at or after a moment."""
        return Report(samples=tuple(s for s in self.samples if s.started >= moment))

    def cut_over(self, old: str, new: str) -> tuple[float, float] | None:
        """Return when the new release answered first, and the old one last.

        Every request that began after the later of the two was answered by the new one.
        None if it never answered.
        """
        first = [s.ended for s in self.samples if s.release == new]
        last = [s.ended for s in self.samples if s.release == old]
        return (min(first), max(last, default=min(first))) if first else None


@attrs.define(eq=False, kw_only=True)
class Traffic:
    """So many clients of one URL, each asking again as soon as it is answered.

    Each keeps its connection, as browsers do. Use it as a context manager; ``report`` may
    be asked for at any time.
    """

    url: str
    clients: int = 4
    headers: Mapping[str, str] = attrs.field(factory=dict)
    source: str | None = None
    """The loopback address to ask from; None for whatever it is."""
    pause_s: float = 0.002
    _samples: list[Sample] = attrs.field(factory=list, init=False)
    _runner: Runner | None = attrs.field(default=None, init=False)
    _stopping: bool = attrs.field(default=False, init=False)
    _done: "list[Future[None]]" = attrs.field(factory=list, init=False)

    def __enter__(self) -> Self:
        """Begin."""
        self._runner = Runner()
        self._done = [self._runner.start(self._ask(i)) for i in range(self.clients)]
        return self

    def __exit__(self, *_: object) -> None:
        """End: what is under way is waited for, so that nothing counts as lost by it."""
        self._stopping = True
        if self._runner is None:
            return
        for done in self._done:
            done.result(_TIMEOUT_S)
        self._runner.close()

    @property
    def report(self) -> Report:
        """Return what has been asked and answered until now."""
        return Report(samples=tuple(sorted(self._samples, key=lambda s: s.started)))

    def wait_for(self, count: int, timeout_s: float = 10.0) -> None:
        """Wait until so many more requests have been answered.

        Raises:
            TimeoutError: they were not.
        """
        wanted = len(self._samples) + count
        deadline = time.monotonic() + timeout_s
        while len(self._samples) < wanted:
            if time.monotonic() > deadline:
                raise TimeoutError(f"fewer than {count} answers in {timeout_s} s")
            time.sleep(0.005)

    async def _ask(self, client: int) -> None:
        link: tuple[StreamReader, StreamWriter] | None = None
        while not self._stopping:
            started = time.monotonic()
            link, answer = await self._once(link)
            self._samples.append(_sample(client, started, answer))
            await asyncio.sleep(self.pause_s)
        if link:
            link[1].close()

    async def _once(
        self, link: tuple[StreamReader, StreamWriter] | None
    ) -> tuple[tuple[StreamReader, StreamWriter] | None, Response | None]:
        parts = urlsplit(self.url)
        host = parts.hostname or "127.0.0.1"
        headers = {"host": parts.netloc, **self.headers}
        request = Request(path=parts.path or "/", headers=headers)
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                link = link or await connect((host, parts.port or 80), self.source)
                link[1].write(request.encode())
                return link, await read_response(link[0])
        except (Broken, OSError, TimeoutError):
            if link:
                link[1].close()
            return None, None


def _sample(client: int, started: float, answer: Response | None) -> Sample:
    ended = time.monotonic()
    if answer is None:
        return Sample(started=started, ended=ended, status=0, client=client)
    named = answer.headers.get("x-release", "")
    return Sample(
        started=started,
        ended=ended,
        status=answer.status,
        release=named or _release_of(answer),
        instance=answer.headers.get("x-instance", ""),
        client=client,
    )


def _release_of(answer: Response) -> str:
    try:
        found = json.loads(answer.body)
    except ValueError:
        return ""
    return str(found.get("release", "")) if isinstance(found, dict) else ""
