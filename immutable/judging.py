"""What validators are given to judge, and what they conclude."""

import enum

import attrs

from immutable.model import Endpoint, FleetName, Instance, Release


class VerdictStatus(enum.StrEnum):
    """No data is ``UNDECIDED``, never a pass."""

    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "undecided"


@attrs.frozen(kw_only=True)
class Verdict:
    """What a validator concluded, and why."""

    status: VerdictStatus
    evidence: str = ""
    validator: str = ""


@attrs.frozen(kw_only=True)
class Target:
    """What a validator judges: a fleet, and the route on which it can be reached.

    ``live`` is False on the preview route, before any production request, and True while
    the fleet serves production traffic.
    """

    endpoint: Endpoint
    release: Release
    fleet: FleetName
    instances: tuple[Instance, ...]
    live: bool
    port: int

    @property
    def url(self) -> str:
        """Return the URL of the route, without a trailing slash."""
        return self.endpoint.url
