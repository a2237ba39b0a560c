"""What backends and switches declare: frozen records that choose the algorithm.

Nothing here is a promise to users. A capability that is absent makes planning refuse what
would need it, by name and before any effect; one that is declared is held to its word by
`immutable.testing.conformance`.

What needs no flag: whether fleets are the provider's own groups or made of single servers
(implement `Fleets`, or `Machines` and let `immutable.fleets` do it), and whether the
provider keeps a desired size for them (`FleetView.desired_size` is then its number, else
None).
"""

from datetime import timedelta
from typing import Literal

import attrs

from immutable.model import Image, ServiceName


@attrs.frozen(kw_only=True)
class Capabilities:
    """What a backend can do, and how well its readings keep up."""

    builds_images: bool
    """`Images.build` works; without it only existing images can be deployed."""
    launch_binds: bool
    """Launching puts instances into the attachment; otherwise the engine joins them."""
    keeps_logs: bool
    """`Logs.read` answers for instances that are gone."""
    reachable_elsewhere: bool
    """Another machine can manage the same resources (a cloud, not a local hypervisor)."""
    guards_deletion: bool
    """The provider itself refuses to destroy a fleet that the switch still names."""
    staleness: timedelta
    """How old a reading may be: something new may be missing for so long, or something
    that is gone still be shown."""
    late: timedelta
    """How long after a call was made, by a caller that has died or given up waiting, it
    may still take effect."""
    pace: timedelta = timedelta(milliseconds=25)
    """How long to wait at least between two looks at a fleet that is on its way: where
    readings are counted or charged for, more than the default."""
    keeps_records: bool = False
    """``images`` also has the methods of `immutable.records.ImageRecords`."""
    adopts_artefacts: bool = False
    """``images`` also has the method of `immutable.records.Artefacts`."""
    scales_itself: bool = False
    """The provider heals or scales fleets by itself, and ``fleets`` also has the methods of
    `immutable.groups.Groups`, by which that is held back and let go again."""


@attrs.frozen(kw_only=True)
class SwitchCapabilities:
    """What a switch can do; chooses between whole and weighted shifts, and the fence."""

    fencing: Literal["compare-and-set", "slot", "blind"]
    """How a stale writer is refused.

    - ``compare-and-set``: every write, also of places, moves the version and is refused
      when it expects another one.
    - ``slot``: so it is for the routing; places (attach, join, detach) are not compared.
    - ``blind``: nothing is refused; the engine waits out `late` before it believes.
    """
    weighted: bool
    """Weights other than 0 and 100 are honoured."""
    preview: bool
    """A fleet without weight can be reached on the preview route."""
    counts_sessions: bool
    """`Switch.sessions` returns a number rather than None."""
    settle: timedelta
    """How long after an acknowledged write older routings may still be served."""
    staleness: timedelta
    """How old a reading may be. A write that expects an old version is refused."""
    late: timedelta
    """How long after a write was sent it may still take effect; see ``fencing``."""


@attrs.frozen(kw_only=True)
class Need:
    """What a deployment is going to use at its peak, for `Backend.preflight`."""

    service: ServiceName
    new_instances: int
    """Instances that will be created beside everything that runs now."""
    image: Image | None
    """The image they boot from; None when it has yet to be built."""
