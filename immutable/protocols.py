"""The backend author's page: what a backend must do, and what it may rely on.

A backend is an object with three parts, ``images``, ``fleets`` and ``logs``, the address
of its own switch, and ``capabilities`` that say which algorithm the engine may choose.
Nothing is inherited; whatever has these methods is a backend. The docstrings are the
contract; `immutable.testing.conformance` checks it clause by clause. Begin with
``docs/howto/write-a-backend.md``; `immutable.authoring` has what most backends need.

A provider with nothing but servers implements `immutable.machines.Machines`, of which
`immutable.fleets` makes fleets. One that heals and scales fleets by itself has
`immutable.groups` besides. For later: `immutable.records`, how images were made, and
`immutable.baking`, making them without ssh.

Common to every operation:

- *Given* names what the engine has made sure of, *Then* what must be true on return, and
  *Again* what the same call does a second time: after a crash the engine repeats what it
  cannot know, with the same arguments and the same token.
- *Tokens* name one mutation, 32 hexadecimal digits. The same token again finds and
  returns what the first call made; another token is another mutation.
- *Absolute values.* No operation toggles or increments.
- *Absence.* Returning None, or leaving something out of a list, says "it is not there":
  for a time of `Capabilities.staleness` after a change the engine does not believe it.
  When you cannot tell, raise.
- *Time.* A call may block. The engine gives up a reading after 60 s, a write to the switch
  after 60 s and a change of a fleet after 10 min; what was given up may take effect for
  `Capabilities.late` longer, and not after that.
- *Errors* are those of `immutable.errors`, with the provider's as cause. Set ``retryable``
  only where it states that the call had no effect and may be repeated; raise `Ambiguous`
  where it may have had. Any operation may raise `Unavailable` and `PermissionDenied`.
- *Tags.* Everything that is created carries the given tags, readable without the ledger.
- *Threads.* Everything is synchronous, and safe to call from several threads.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

from immutable.capabilities import Capabilities, Need, SwitchCapabilities
from immutable.images.recipe import Recipe
from immutable.judging import Target, Verdict
from immutable.model import (
    Endpoint,
    FleetName,
    FleetSpec,
    FleetView,
    HealthCheck,
    Image,
    ImageId,
    InstanceId,
    InstanceLog,
    LedgerId,
    Member,
    Probe,
    Routing,
    ServiceName,
    SwitchView,
    Token,
    Version,
)
from immutable.urls import Url

PROTOCOL_VERSION = 1
"""Raised whenever a backend written for the earlier number could go wrong."""


class Images(Protocol):
    """Bootable artefacts: found by exact id, built from recipes, never changed."""

    def find(self, image: ImageId) -> Image | None:
        """Return the image with exactly this id, or None when there is none.

        Never resolves names, aliases or "latest". The digest covers every byte that an
        instance can boot from: the same id has the same digest for ever.
        """
        ...

    def build(self, recipe: Recipe, *, on_output: Callable[[str], None]) -> Image:
        """Build a recipe and return its image. Called only if `Capabilities.builds_images`.

        Given: where ``recipe.pins`` is there, it has an entry for the base and for each
        layer that needs packages; `immutable.build` refuses others.
        Then: `find` returns it, whole; no failed or killed build is ever found.
        Again: a recipe of the same digest is returned unbuilt; two at once build once.

        Args:
            recipe: what to build. Its digest decides whether work is needed at all.
            on_output: gets each line that the build prints, from the calling thread.

        Raises:
            MissingFiles: the recipe names files that are not there.
            Unsupported: this provider cannot do what a layer asks for.
            NotEnough: the image would not fit; checked before building.
            BuildFailed: a layer failed; the message holds the last lines of its output.
        """
        ...

    def delete(self, image: ImageId) -> None:
        """Delete an image; one that is already gone is no error.

        Who needs it is not asked here: no backend knows every ledger. For users,
        `immutable.retain` deletes, and asks first.
        """
        ...


class Fleets(Protocol):
    """Groups of servers, each launched from one release and retired whole."""

    def launch(self, spec: FleetSpec, *, token: Token) -> None:
        """Create the fleet, or complete one that was begun before.

        Given: the fleet has its place at the switch; ``spec.place`` names it, and where
        `Capabilities.launch_binds` each instance becomes a member of it.
        Then: ``spec.size`` instances are requested, each of ``spec.image``, handed
        ``spec.document`` at boot, carrying ``spec.tags``, and seen by `observe`. Do not
        wait until they are ready: readiness is what the switch sees. Where the provider
        heals and scales by itself, the fleet is frozen: see `immutable.groups`.
        Again: what is missing is created; there are never more than ``spec.size``.

        Raises:
            NotEnough: the provider has no room. What was created stays, tagged.
        """
        ...

    def observe(self, fleet: FleetName) -> FleetView | None:
        """Return the fleet as it is now, or None when nothing of it exists.

        Each instance once, in order of id, with the digest, image and document that it
        was launched with; dead ones as ``GONE`` while anything of them is left. Costs
        provider calls by pages, not by instances.
        """
        ...

    def resize(
        self, spec: FleetSpec, *, remove: tuple[InstanceId, ...], token: Token
    ) -> None:
        """Destroy exactly the instances in ``remove``, then bring the fleet to its size.

        Given: the switch has let go of those in ``remove``.
        Then: as `launch`. No other instance is destroyed, whatever ``spec.size`` says.
        Again: ids that are gone already are no error; nothing is created twice.
        """
        ...

    def replace(self, spec: FleetSpec, *, instance: InstanceId, token: Token) -> None:
        """Destroy one instance, and dead ones, and bring the fleet back to its size.

        Then: as `launch`. The new instance has an id that no other ever had.
        Again: the same token replaces once.
        """
        ...

    def retire(self, fleet: FleetName, *, token: Token) -> None:
        """Destroy the fleet and all that belongs to it, except its logs.

        Given: it has no place at the switch.
        Then: nothing of it is left, and `observe` returns None.
        Again: a fleet that is gone, or never was, is no error.

        Raises:
            Ambiguous: something may be left; called again, it goes on.
        """
        ...

    def list(self, *, service: ServiceName, ledger: LedgerId) -> tuple[FleetView, ...]:
        """Return every fleet with these two tags and no other, by name.

        Found by tags alone, without the ledger: half-made fleets, too.
        """
        ...


class Switch(Protocol):
    """What decides which fleet gets the traffic. One switch serves one service.

    It keeps routing, places, owner, and a version that moves with every compared write.
    """

    @property
    def capabilities(self) -> SwitchCapabilities:
        """Return what this switch can do; the same at every call."""
        ...

    def preflight(self) -> tuple[str, ...]:
        """Check that the switch is there, or could be set up; no effect.

        Then: warnings, one line each, as of `Backend.preflight`.

        Raises:
            Taken: somebody else holds what it needs.
        """
        ...

    def endpoints(self) -> tuple[Endpoint, Endpoint]:
        """Return where clients connect: production first, then the preview route."""
        ...

    def read(self) -> SwitchView:
        """Return routing, attachments, owner and version in one consistent reading.

        A switch that has never been set up reads as empty, unowned.
        """
        ...

    def attach(
        self,
        fleet: FleetName,
        *,
        health: HealthCheck,
        owner: LedgerId,
        expected: Version,
    ) -> Version:
        """Give a fleet its place, without traffic, and return the version.

        Again: one that has a place keeps it, with its members.

        Raises:
            Conflict: the version is no longer ``expected``; nothing was changed. Only
                where places are compared.
            NotEnough: no place is free.
        """
        ...

    def join(
        self, fleet: FleetName, members: tuple[Member, ...], *, drain: timedelta
    ) -> None:
        """Make the attachment's members exactly these; probing of new ones begins.

        A member that leaves gets no new requests at once and is removed when its last
        session ends, or after ``drain``. Members count as ready only after a probe
        passed. Those that stay are not disturbed.

        Raises:
            Conflict: the fleet has no place here (any more).
        """
        ...

    def health(self, fleet: FleetName) -> tuple[Probe, ...]:
        """Return one probe for each member, by the switch's own latest passed check.

        ``UNKNOWN`` until the first check; empty for a fleet without a place.
        """
        ...

    def write(self, routing: Routing, *, owner: LedgerId, expected: Version) -> Version:
        """Set the whole routing in one atomic step and return the new version.

        Given: every fleet it mentions has a place.
        Then: it is served, and would survive a restart of the switch.
        Again: with the old ``expected`` it is refused, as any other stale write.

        Raises:
            Conflict: the version is no longer ``expected``, or a fleet has no place;
                nothing was changed.
            Unsupported: weights or a preview that the capabilities do not declare;
                nothing was changed.
            Ambiguous: it may or may not be served; read to know.
        """
        ...

    def sessions(self, fleet: FleetName) -> int | None:
        """Return how many requests or connections the fleet is serving; None: unknown."""
        ...

    def detach(
        self, fleet: FleetName, *, owner: LedgerId, expected: Version
    ) -> Version:
        """Take away the fleet's place and return the version. None there is no error.

        Raises:
            Conflict: the fleet has weight or is previewed, or the version is no longer
                ``expected`` where places are compared; nothing was changed.
        """
        ...


class Logs(Protocol):
    """What instances said, readable after they are gone."""

    def read(self, fleet: FleetName, *, tail_bytes: int) -> tuple[InstanceLog, ...]:
        """Return the end of each instance's console and journal, in order of id.

        Empty for a fleet that nobody knows, and for dead instances where
        `Capabilities.keeps_logs` is not declared.
        """
        ...


class Backend(Protocol):
    """Everything one provider offers. Opening one does no I/O."""

    @property
    def protocol_version(self) -> int:
        """Return the `PROTOCOL_VERSION` that this backend was written for."""
        ...

    @property
    def name(self) -> str:
        """Return the scheme it answers to, for messages."""
        ...

    @property
    def capabilities(self) -> Capabilities:
        """Return what this backend can do; the same at every call."""
        ...

    @property
    def images(self) -> Images:
        """Return the image side."""
        ...

    @property
    def fleets(self) -> Fleets:
        """Return the fleet side."""
        ...

    @property
    def logs(self) -> Logs:
        """Return the log side."""
        ...

    def default_switch(self, service: ServiceName, *, port: int) -> Url:
        """Return the URL of the switch to use where the user names none."""
        ...

    def preflight(self, need: Need) -> tuple[str, ...]:
        """Check that the need can be met; return warnings, one line each. No effect.

        Raises:
            NotEnough: there would be no room at the deployment's peak.
            Taken: somebody else holds a name or address that is needed.
        """
        ...


class Validator(Protocol):
    """Judges a fleet. Any callable with this shape will do; a bool counts as a verdict."""

    def __call__(self, target: Target, /) -> Verdict | bool | None:
        """Judge the target; None means undecided, an exception means failed."""
        ...


class LedgerStore(Protocol):
    """Numbered records in named streams; put-if-absent is all that is asked of a store."""

    def append(self, stream: str, sequence: int, record: bytes) -> None:
        """Store a record, at most 4 MiB, under a number that nobody has used.

        Then: it survives a power cut. Of two at once with one number, one is stored.

        Raises:
            SequenceTaken: the number is in use; nothing was changed.
            Ambiguous: it may or may not be stored; read to know.
        """
        ...

    def read(
        self, stream: str, *, after: int, limit: int
    ) -> tuple[tuple[int, bytes], ...]:
        """Return at most ``limit`` records with higher numbers, in ascending order."""
        ...

    def last(self, stream: str) -> tuple[int, bytes] | None:
        """Return the record with the highest number, at a cost that does not grow."""
        ...
