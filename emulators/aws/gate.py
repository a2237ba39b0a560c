"""Who may come in: credentials, permissions, and how often."""

import time

import attrs

from emulators.aws import refusals
from emulators.aws.refusals import Refusal
from emulators.aws.requests import Asked
from emulators.aws.settings import Settings


@attrs.define(eq=False)
class Bucket:
    """A token bucket: so many calls at once, and so many a second."""

    burst: float
    rate: float
    level: float = attrs.field(init=False)
    filled: float = attrs.field(factory=time.monotonic, init=False)

    def __attrs_post_init__(self) -> None:
        """Begin full."""
        self.level = self.burst

    def take(self) -> bool:
        """Take a token, if there is one."""
        now = time.monotonic()
        grown = self.level + (now - self.filled) * self.rate
        self.level, self.filled = min(self.burst, grown), now
        if self.level < 1:
            return False
        self.level -= 1
        return True


@attrs.define(eq=False)
class Gate:
    """Refuses calls before they are looked at.

    Source of the buckets: EC2 API reference, "Request throttling": token buckets for
    each account and region, with a capacity and a refill rate for each category of
    actions.
    """

    _spelled: str = attrs.field(default="", init=False)
    _buckets: dict[str, Bucket] = attrs.field(factory=dict, init=False)

    def refusal(self, settings: Settings, asked: Asked) -> Refusal | None:
        """Return why a call is refused, or None."""
        if asked.key in settings.unknown_keys.split():
            return refusals.unknown(asked.service)
        if asked.key in settings.expired_keys.split():
            return refusals.expired(asked.service)
        if asked.name in settings.denied.split():
            return refusals.denied(asked.service, asked.name)
        bucket = self._bucket(settings, asked)
        if bucket and not bucket.take():
            return refusals.throttled(asked.service)
        return None

    def _bucket(self, settings: Settings, asked: Asked) -> Bucket | None:
        if settings.throttles != self._spelled:
            self._spelled = settings.throttles
            self._buckets = dict(map(_parse, settings.throttles.split()))
        fitting = [each for each in self._buckets if asked.name.startswith(each)]
        return self._buckets[max(fitting, key=len)] if fitting else None


def _parse(text: str) -> tuple[str, Bucket]:
    """Read ``ec2:Describe=100/20``: what the name begins with, burst, and rate."""
    family, _, amounts = text.partition("=")
    burst, _, rate = amounts.partition("/")
    return family, Bucket(float(burst), float(rate))
