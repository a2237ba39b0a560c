"""Eventual consistency: what is read may be as old as ``stale_s``.

Source: EC2 user guide, "Eventual consistency in the Amazon EC2 API": what a
command has changed may not be visible at once to the commands after it. S3 is strongly
consistent, and is left alone.
"""

import io
import random
import re
import time
from collections.abc import Callable
from urllib.parse import unquote_plus

import attrs

from emulators.aws.refusals import Answer, missing
from emulators.aws.requests import Asked, Environ
from emulators.aws.settings import Settings

_SERVICES = {"ec2", "autoscaling", "elbv2"}
_READS = ("Describe", "Get", "List")
_MADE = re.compile(
    rb"\b(?:i|ami|lt|snap)-[0-9a-f]{17}\b|arn:aws:elasticloadbalancing:[^<]+"
)
_MADE_TEXT = re.compile(_MADE.pattern.decode())
_CREATES = ("Create", "Run", "Register", "Copy")
_MOST = 64

Ask = Callable[[Environ], Answer]


@attrs.define(eq=False, kw_only=True)
class Read:
    """A read that was made once, and what it would have answered at earlier times."""

    environ: Environ
    body: bytes
    past: list[tuple[float, Answer]] = attrs.field(factory=list)
    """Until when each answer was the current one."""

    def again(self, ask: Ask) -> Answer:
        """Ask it as things are now."""
        stream = io.BytesIO(self.body)
        return ask({**self.environ, "wsgi.input": stream})


@attrs.define(eq=False)
class Lag:
    """Remembers what reads would have answered before each change."""

    _reads: dict[tuple[str, str, bytes], Read] = attrs.field(factory=dict, init=False)
    _hidden: dict[str, float] = attrs.field(factory=dict, init=False)
    """Until when each new id is not found."""

    def clear(self) -> None:
        """Forget everything."""
        self._reads.clear()
        self._hidden.clear()

    def answer(
        self, settings: Settings, asked: Asked, environ: Environ, ask: Ask
    ) -> Answer:
        """Answer a call: a read perhaps with something old."""
        if not settings.stale_s or asked.service not in _SERVICES:
            return ask(environ)
        if asked.operation.startswith(_READS):
            return self._read(settings, asked, environ, ask)
        self._capture(ask, settings)
        found = ask(environ)
        if asked.operation.startswith(_CREATES):
            self._hide(settings, found, asked)
        return found

    def _read(
        self, settings: Settings, asked: Asked, environ: Environ, ask: Ask
    ) -> Answer:
        hidden = self._hidden_in(asked)
        if hidden is not None:
            return hidden
        key = asked.service, asked.region, asked.body
        read = self._reads.get(key)
        if read is None:
            if len(self._reads) >= _MOST:
                self._reads.pop(next(iter(self._reads)))
            self._reads[key] = Read(environ=dict(environ), body=asked.body)
            return ask(environ)
        # load, not secrets: each read is answered by some replica
        moment = time.monotonic() - random.uniform(0, settings.stale_s)
        old = [answer for until, answer in read.past if until > moment]
        return old[0] if old else ask(environ)

    def _capture(self, ask: Ask, settings: Settings) -> None:
        now = time.monotonic()
        for read in self._reads.values():
            recent = [each for each in read.past if each[0] > now - settings.stale_s]
            read.past = [*recent, (now, read.again(ask))]

    def _hide(self, settings: Settings, found: Answer, asked: Asked) -> None:
        now, named = time.monotonic(), unquote_plus(asked.body.decode("latin-1"))
        for raw in _MADE.findall(found[2]):
            if raw.decode() not in {*self._hidden, *_MADE_TEXT.findall(named)}:
                span = random.uniform(0, settings.stale_s)
                self._hidden[raw.decode()] = now + span

    def _hidden_in(self, asked: Asked) -> Answer | None:
        now, body = time.monotonic(), unquote_plus(asked.body.decode("latin-1"))
        for resource, until in self._hidden.items():
            if until > now and f"={resource}" in body:
                refusal = missing(asked.service, resource)
                if refusal:
                    return refusal.told(asked.service)
        return None
