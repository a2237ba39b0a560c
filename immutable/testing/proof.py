"""Whether a fleet was whole and ready, at some instant of a span."""

from collections.abc import Callable

from immutable.ledger.state import FleetEntry
from immutable.model import Health
from immutable.testing.cloud import Cloud

FRESH_US = 5_000_000
"""How old a proof may be when a request that rests upon it is sent."""


Measure = Callable[[int], int]
"""How many ready members a fleet had at an instant; 0 where that proves nothing."""


def whole(cloud: Cloud, service: str, entry: FleetEntry) -> Measure:
    """Return how to tell that all members of a fleet were ready, each of its release."""

    def measure(when_us: int) -> int:
        ready, members = _ready(cloud, service, entry, when_us)
        return ready if ready == members else 0

    return measure


def serviceable(cloud: Cloud, service: str, entry: FleetEntry) -> Measure:
    """Return how to tell that at least half of a fleet's members were ready.

    That is enough for a side that traffic goes back to, and for no other.
    """

    def measure(when_us: int) -> int:
        ready, members = _ready(cloud, service, entry, when_us)
        return ready if 2 * ready >= members else 0

    return measure


def most(measure: Measure, cloud: Cloud, service: str, span_us: tuple[int, int]) -> int:
    """Return the most that was measured at any instant of a span, both ends included."""
    if now := measure(span_us[1]):
        return now
    return max(measure(us) for us in cloud.instants(service, *span_us))


def _ready(
    cloud: Cloud, service: str, entry: FleetEntry, when_us: int
) -> tuple[int, int]:
    """Return how many members were ready, and how many there were."""
    probes = cloud.probes(service, entry.name, when_us)
    fleet = cloud.fleets.at(when_us).get(entry.name)
    if fleet is None:
        return 0, len(probes)
    ready = [probe for probe in probes if probe.health is Health.READY]
    servers = [fleet.server(probe.instance) for probe in ready]
    sound = [s for s in servers if s and entry.release.digest.startswith(s.digest)]
    return len(sound), len(probes)
