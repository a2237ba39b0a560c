"""What a simulated provider is like: what it can do, and how well it keeps its word."""

from datetime import timedelta

import attrs

from immutable.capabilities import Capabilities, SwitchCapabilities
from immutable.durations import duration
from immutable.testing.registers import Kind

_NONE = timedelta()


@attrs.frozen(kw_only=True)
class Provider:
    """The terms on which a cloud is simulated.

    Args:
        switch: how its switch refuses a stale writer; see `immutable.testing.registers`.
        staleness: how old a reading may be.
        late: how long after a call was given up it may still take effect.
        ledger_late: the same for the ledger; no store may do this, so that anything but
            zero shows what would happen if one did.
        capacity: the most servers that there can be; None: no limit.
        launch_binds: launching puts servers into the fleet's place at the switch.
        guards_deletion: a fleet that the switch still names is not destroyed.
        counts: the provider keeps a desired size for each fleet.
        scales_itself: fleets are native groups: the provider heals and scales them by
            itself, unless they are frozen. It then counts, and binds what it launches.
        weighted: the switch honours weights other than 0 and 100.
        preview: the switch has a preview route.
        keeps_logs: logs can be read when a server is gone.
        settle: how long after a write older routings may still be served.
        drains_in: how long requests go on when a fleet has lost its traffic.
        sickness: how likely a server dies or flaps though its image is sound.
        reachable_elsewhere: other machines see the same cloud.
        pace: how long to wait at least between two looks.
        name: the scheme that its backend answers to.
    """

    switch: Kind = "compare-and-set"
    staleness: timedelta = attrs.field(default=_NONE, converter=duration)
    late: timedelta = attrs.field(default=_NONE, converter=duration)
    ledger_late: timedelta = attrs.field(default=_NONE, converter=duration)
    capacity: int | None = None
    launch_binds: bool = False
    guards_deletion: bool = False
    counts: bool = False
    scales_itself: bool = False
    weighted: bool = True
    preview: bool = True
    keeps_logs: bool = True
    settle: timedelta = attrs.field(default=_NONE, converter=duration)
    drains_in: timedelta = attrs.field(default=_NONE, converter=duration)
    sickness: float = 0.0
    reachable_elsewhere: bool = True
    pace: timedelta = attrs.field(
        default=timedelta(milliseconds=25), converter=duration
    )
    name: str = "simulated"

    def with_groups(self) -> "Provider":
        """Return a provider like this one whose fleets are native groups."""
        return attrs.evolve(self, scales_itself=True, counts=True, launch_binds=True)

    @property
    def capabilities(self) -> Capabilities:
        """Return what the backend declares."""
        return Capabilities(
            builds_images=True,
            launch_binds=self.launch_binds,
            keeps_logs=self.keeps_logs,
            reachable_elsewhere=self.reachable_elsewhere,
            guards_deletion=self.guards_deletion,
            scales_itself=self.scales_itself,
            staleness=self.staleness,
            late=self.late,
            pace=self.pace,
        )

    @property
    def switch_capabilities(self) -> SwitchCapabilities:
        """Return what the switch declares."""
        return SwitchCapabilities(
            fencing=self.switch,
            weighted=self.weighted,
            preview=self.preview,
            counts_sessions=True,
            settle=self.settle,
            staleness=self.staleness,
            late=self.late,
        )
