"""What a provider does that has nothing but servers: instead of `protocols.Fleets`.

The clauses are read as in `immutable.protocols`.
"""

from typing import Protocol

import attrs

from immutable.model import FleetSpec, Instance, InstanceId


@attrs.frozen(kw_only=True)
class MachineSpec:
    """One server to create: its name within the provider, and the fleet it belongs to."""

    name: str
    """At most 40 of ``[a-z0-9-]``, and its `InstanceId`: the same for ever for the same
    fleet, token and index."""
    fleet: FleetSpec


class Machines(Protocol):
    """Single servers; `immutable.fleets.MachineFleets` makes fleets of them.

    Names are the idempotency: one is never used for anything else.
    """

    def create(self, spec: MachineSpec) -> Instance:
        """Create a server with the spec's name, tags, image and document.

        Then: `list` shows it. Do not wait until it has booted.
        Again: a server of this name that carries the same tags is returned as it is.

        Raises:
            Taken: the name is in use by something that is not ours.
            NotEnough: there is no room; nothing is left of this server.
        """
        ...

    def list(self) -> tuple[tuple[Instance, tuple[tuple[str, str], ...]], ...]:
        """Return every server that carries ``immutable-…`` tags, each with its tags.

        Servers that died are listed as ``GONE`` as long as anything of them is left,
        half-made ones as ``PENDING``.
        """
        ...

    def destroy(self, instance: InstanceId) -> None:
        """Destroy a server and its disks; its logs stay. One already gone is no error."""
        ...
