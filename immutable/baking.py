"""What a backend does that makes images in machines of its own: no ssh, no agent.

A layer that cannot be made from outside is *baked*: a machine, the *builder*, is booted
from what lies below, finds its *work* in something it was handed at boot, says how it
gets on, and ends. What it has changed is then captured. A backend brings the two protocols
`Baking` and `Builder`, whose docstrings are the contract, read as in
`immutable.protocols`; the algorithm, `immutable.images.baked.bake`, is the same everywhere.

- *Handing over.* All that the builder gets is one tar archive, whole before it boots, as
  `immutable.images.bundling` writes it. Nobody logs in, and nothing listens in it.
- *Reports.* The builder says what it does as lines of JSON (`Report`), apart from what its
  work prints. It is not believed further than that: times are the caller's, and what is
  captured is read as data of a stranger.
- *Clean-up.* A builder carries the tags of `tags_of`, its token and its expiry among them,
  so that it can be found and destroyed by whoever comes later, without any ledger.
- *Repeating.* A builder's work is never resumed. A repeated bake begins anew, and the
  builder of an earlier attempt with the same token is destroyed first.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, Protocol, TypeVar, cast, get_args

import attrs

from immutable.durations import duration
from immutable.images.layers import DEADLINE
from immutable.model import Token, pairs

SCHEMA = 1
BOOT = timedelta(minutes=5)
"""After so long a builder that has not begun its work has failed."""
CAPTURE = timedelta(minutes=10)
"""After so long a builder that has done its work and not ended has failed."""
_LONGEST_REPORT = 4096

Made_co = TypeVar("Made_co", covariant=True)
Event = Literal["begun", "ended", "captured", "failed"]


@attrs.frozen(kw_only=True)
class Work:
    """One program to run in a builder, as root, with nothing on its standard input.

    ``what`` says in words what it does. ``handed`` are files and trees of this machine
    that it finds under ``/run``, by name. Without ``network`` it must not have any.
    """

    what: str
    argv: tuple[str, ...]
    variables: tuple[tuple[str, str], ...] = attrs.field(default=(), converter=pairs)
    handed: tuple[tuple[str, Path], ...] = ()
    network: bool = False
    deadline: timedelta = attrs.field(default=DEADLINE, converter=duration)


@attrs.frozen(kw_only=True)
class Bake:
    """What one builder does: ordered work upon a parent; the first failure ends it.

    ``parent`` is what it boots, as the backend names it: an image, or the layers below.
    """

    parent: str
    works: tuple[Work, ...]

    @property
    def network(self) -> bool:
        """Return whether any of the work may reach the network."""
        return any(work.network for work in self.works)

    @property
    def longest(self) -> timedelta:
        """Return after how long a builder of this is of no use to anybody."""
        return sum((work.deadline for work in self.works), start=BOOT + CAPTURE)


@attrs.frozen(kw_only=True)
class Report:
    """One thing that a builder says of itself; which fields count depends on the event.

    - ``begun`` and ``ended``: the number of the work, from 0, and its exit status;
    - ``captured``: all is done, and what has changed is ready to be captured;
    - ``failed``: it is no fault of the work; ``reason`` says what is wrong.
    """

    event: Event
    work: int = 0
    status: int = 0
    reason: str = ""


@attrs.frozen(kw_only=True)
class Said:
    """What is new from a builder: lines of its work, reports, and whether it is on."""

    lines: tuple[str, ...] = ()
    reports: tuple[Report, ...] = ()
    is_on: bool = True


class Builder(Protocol[Made_co]):
    """A machine that was started for one bake."""

    def read(self, *, wait: timedelta) -> Said:
        """Return what is new since the last reading; wait for something at most so long.

        Then: each line and each report was returned once, in their order, and none is
        missing once ``is_on`` is false.
        """
        ...

    def capture(self) -> Made_co:
        """Return what was made: an image, or whatever the backend makes one of.

        Given: it has reported ``captured``.
        Then: what is returned outlives the builder, and carries the bake's tags.
        Again: the same is returned.

        Raises:
            BuildFailed: what it left is not what a layer may hold; nothing is kept.
        """
        ...

    def destroy(self) -> None:
        """Destroy it with all that it was handed. One that is gone is no error."""
        ...


class Baking(Protocol[Made_co]):
    """A backend's builders."""

    def start(
        self, bake: Bake, *, token: Token, expires_at: datetime
    ) -> Builder[Made_co]:
        """Boot a builder from the bake's parent and hand it the work.

        Then: it carries `tags_of` these. It has no network unless the bake says so, and
        no rights at the provider. Do not wait until it has booted.
        Again: what an earlier call with this token left is destroyed first.

        Raises:
            NotEnough: there is no room; nothing is left of it.
        """
        ...

    def sweep(self, *, now: datetime) -> tuple[str, ...]:
        """Destroy every builder that nobody waits for, and return their names.

        Those are the ones that have expired, and those whose caller is known to be dead.
        Found by tags alone; no builder of somebody who lives is touched.
        """
        ...


def tags_of(token: Token, expires_at: datetime) -> tuple[tuple[str, str], ...]:
    """Return the tags by which a builder is found."""
    expiry = expires_at.astimezone(UTC).isoformat(timespec="seconds")
    return (("immutable-bake", token), ("immutable-expires-at", expiry))


def expiry_of(tags: tuple[tuple[str, str], ...]) -> datetime | None:
    """Return when a builder expires by its tags; None when they are no builder's."""
    try:
        return datetime.fromisoformat(dict(tags)["immutable-expires-at"])
    except (KeyError, ValueError):
        return None


def report_of(line: str) -> Report | None:
    """Return the report in a line, or None when it is none: the line is a stranger's."""
    if len(line) > _LONGEST_REPORT:
        return None
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or found.pop("schema", None) != SCHEMA:
        return None
    return _checked(found)


def _checked(found: dict[str, object]) -> Report | None:
    numbers = [found.pop(name, 0) for name in ("work", "status")]
    event, reason = found.pop("event", None), found.pop("reason", "")
    if found or event not in get_args(Event) or not isinstance(reason, str):
        return None
    known = cast("Event", event)
    whole = [n for n in numbers if type(n) is int and n >= 0]
    if len(whole) != len(numbers):
        return None
    work, status = whole
    return Report(event=known, work=work, status=status, reason=reason)
