"""What an author says of a backend so that the kit can try it."""

from collections.abc import Callable
from datetime import timedelta
from fnmatch import fnmatchcase
from pathlib import Path

import attrs

from immutable.durations import duration
from immutable.host import Host
from immutable.images.recipe import Recipe
from immutable.machines import Machines
from immutable.model import Endpoint, FleetName, Image, InstanceId, Member, ServiceName
from immutable.protocols import Backend, LedgerStore, Switch

Bootable = Image | Recipe | str
"""An image, a recipe that is built first, or the id of an image that exists."""
OpenAnew = Callable[[], Backend]
OpenFor = Callable[[ServiceName], "str | Switch"]
_MINUTE = timedelta(minutes=1)
_FEW_SECONDS = timedelta(seconds=5)


@attrs.frozen(kw_only=True, eq=False)
class Subject:
    """A backend to be held to the contract, and what may be used to try it.

    Args:
        backend: its URL, or what opens it anew, or the object. None: only the switch is
            to be tried, with `switch_cases`.
        good: an image whose instances become ready.
        another: another one, with another digest.
        broken: one whose instances never become ready.
        inert: one that need not boot, where booting is slow: cases that only need
            instances to exist use it.
        spare: one that may be deleted.
        switch: its URL, or what returns URL or object for a service's name; None: the
            backend's own. No two services may share one.
        machines: the provider's single servers, where the backend has no groups.
        servers: returns so many members that answer the health check, for switches that
            take any address; then trying the switch launches nothing.
        kill: lets an instance die without the backend's help, as a crash would.
        abandon: lets a build be killed half-way, so that there is something to sweep;
            for backends that keep records.
        scale_by: gives a fleet a rule by which its provider scales it, and bounds of its
            size; for backends that declare ``scales_itself``.
        scaling: returns the policies, scheduled actions and size bounds by which a fleet is
            scaled, in a form in which those of two fleets can be compared.
        artefact: a manifest of Packer's that can be adopted, with what it tells of in its
            directory.
        visit: returns what a client is served at an endpoint; it differs between
            ``good`` and ``another``.
        inventory: names everything that exists at the provider for the service; the
            more it names the more leaks are found. By default what ``Fleets.list`` and
            the switch show.
        close: clears away what a service's switch leaves running; called once for each
            service when its case is over.
        ledger: opens a new, empty ledger store; by default one in memory.
        port: what the instances listen on.
        health: HTTP path of the health check; None: a TCP connection is enough.
        size: how many instances a fleet usually has here.
        ready_timeout: for the instances of ``good`` to become ready.
        fails_after: how long the instances of ``broken`` are waited for.
        pages: so many instances make more than one page of the provider's answers; None:
            it has no pages.
        crashes: so many crash points of a deployment are tried, spread evenly, and half
            as many of other calls; None: every one. The report says how many of how many.
        leave_out: names of cases that are not run, ``*`` matching any text. They are
            reported as left out, never as passed.
        host: the machine the engine believes to run on, for simulated providers.
        name: how the report calls it; by default the backend's own name.
    """

    backend: str | Backend | OpenAnew | None
    good: Bootable | None = None
    another: Bootable | None = None
    broken: Bootable | None = None
    inert: Bootable | None = None
    spare: Bootable | None = None
    switch: str | OpenFor | None = None
    machines: Machines | None = None
    servers: Callable[[int], tuple[Member, ...]] | None = None
    kill: Callable[[InstanceId], None] | None = None
    abandon: Callable[[], None] | None = None
    scale_by: Callable[[FleetName], None] | None = None
    scaling: Callable[[FleetName], object] | None = None
    artefact: Path | None = None
    visit: Callable[[Endpoint], str] | None = None
    inventory: Callable[[ServiceName], frozenset[str]] | None = None
    close: Callable[[ServiceName], None] | None = None
    ledger: Callable[[], LedgerStore] | None = None
    port: int = 80
    health: str | None = None
    size: int = 2
    ready_timeout: timedelta = attrs.field(default=_MINUTE, converter=duration)
    fails_after: timedelta = attrs.field(default=_FEW_SECONDS, converter=duration)
    pages: int | None = None
    crashes: int | None = None
    leave_out: tuple[str, ...] = ()
    host: Host | None = None
    name: str = ""

    @property
    def label(self) -> str:
        """Return how the report calls it."""
        if self.name:
            return self.name
        if isinstance(self.backend, str):
            return self.backend
        return getattr(self.backend, "name", "backend") if self.backend else "switch"


def leaves_out(patterns: tuple[str, ...], case: str) -> bool:
    """Return whether the case of this name is not to be run."""
    return any(fnmatchcase(case, pattern) for pattern in patterns)
