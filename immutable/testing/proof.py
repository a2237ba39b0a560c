"""Whether a fleet was whole and ready, at some instant of a span."""

from immutable.model import FleetName, Health
from immutable.testing.cloud import Cloud

FRESH_US = 5_000_000
"""How old a proof may be when a request that rests upon it is sent."""


def ready_members(
    cloud: Cloud, service: str, fleet: FleetName, digest: str, when_us: int
) -> int:
    """Return how many members a fleet had if it was whole and ready then, else 0.

    Whole and ready: it has members, each of them is one of its servers, passed its
    probe, and was launched from the release with this digest.
    """
    probes = cloud.probes(service, fleet, when_us)
    found = cloud.fleets.at(when_us).get(fleet)
    if found is None or any(probe.health is not Health.READY for probe in probes):
        return 0
    servers = [found.server(probe.instance) for probe in probes]
    uniform = all(
        server is not None and digest.startswith(server.digest) for server in servers
    )
    return len(probes) if uniform else 0


def most_ready(
    cloud: Cloud, service: str, fleet: FleetName, digest: str, span_us: tuple[int, int]
) -> int:
    """Return the most members with which a fleet was whole and ready in a span."""
    now = ready_members(cloud, service, fleet, digest, span_us[1])
    if now:
        return now
    instants = cloud.instants(service, *span_us)
    return max(ready_members(cloud, service, fleet, digest, us) for us in instants)
