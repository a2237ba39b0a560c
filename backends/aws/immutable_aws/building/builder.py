"""One builder: heard through what it writes, never asked, and made an image of."""

import json
import re
from collections.abc import Callable
from datetime import timedelta

import attrs

from immutable import host
from immutable.authoring import wait_until
from immutable.baking import Report, Said, report_of
from immutable.errors import Ambiguous, BuildFailed, ImmutableError, Taken
from immutable.host import Never
from immutable.model import ImageId, Token
from immutable.retrying import retrying
from immutable_aws.amis import catalog
from immutable_aws.amis.ami import FAILED, RECIPE, Ami
from immutable_aws.building.depot import Depot
from immutable_aws.building.ending import discard
from immutable_aws.building.remains import BAKE, MAKING, Remains
from immutable_aws.errors import NAME, said
from immutable_aws.session import Aws
from immutable_aws.tagging import to_tags

_LOOK = timedelta(seconds=2)
_SILENCE = timedelta(seconds=10)
"""After so long without a word it is asked whether the instance is still on."""
STOPPING = timedelta(minutes=5)
_OFF = frozenset({"stopped", "terminated", "shutting-down"})
_MISSING = "InvalidInstanceID.NotFound"
_LINES = 100_000
_NUMBER = re.compile(r"[0-9]{8}")


@attrs.define(kw_only=True)
class AwsBuilder:
    """An instance that was started for one bake."""

    aws: Aws
    depot: Depot
    said: str
    place: str
    instance: str
    name: str
    tags: tuple[tuple[str, str], ...]
    on_alive: Callable[[], None]
    staleness: timedelta
    _number: int = attrs.field(default=0, init=False)
    _lines: int = attrs.field(default=0, init=False)
    _is_ending: bool = attrs.field(default=False, init=False)

    def read(self, *, wait: timedelta) -> Said:
        """Return what is new; look for it again and again for as long as that."""
        here = host.current()
        until = here.now() + min(wait, _SILENCE)
        while True:
            self.on_alive()
            if (found := self._next()) is not None:
                return found
            left = until - here.now()
            if self._is_ending or left <= timedelta():
                break
            here.sleep(min(_LOOK, left), Never())
        if self._state() not in _OFF:
            here.sleep(min(_LOOK, wait), Never())
            return Said()
        # what was written before it went off is there now
        return self._next() or self._rest() or Said(is_on=False)

    def capture(self) -> ImageId:
        """Return the image of it, which is available; made when the instance is off.

        Raises:
            BuildFailed: EC2 could not make it; nothing is kept.
            BackendError: somebody has disabled it meanwhile.
            Taken: the image's name is somebody else's.
        """
        self._stop()
        made = self._created()
        found = wait_until(
            lambda: self._finished(made), f"making {made}", within=MAKING, every=_LOOK
        )
        if found.state in FAILED:
            raise self._unmade(found)
        if found.state != "available":
            raise catalog.unusable(found)
        return made

    def destroy(self) -> None:
        """Terminate it, with its disks, and delete what it was handed and has said."""
        remains = Remains(aws=self.aws, depot=self.depot)
        remains.destroy(self._token, self.instance, staleness=self.staleness)

    def _unmade(self, ami: Ami) -> BuildFailed:
        """Discard what came to nothing, and return the error that says so."""
        hint = "nothing of it was kept; build again"
        try:
            discard(self.aws, ami)
        except ImmutableError as exc:
            hint = str(exc)
        return BuildFailed(
            f"EC2 could not make {ami.id} of {self.instance}: {ami.reason}",
            hint=hint,
            operation="images.build",
            backend=NAME,
        )

    @property
    def _token(self) -> Token:
        return Token(dict(self.tags)[BAKE])

    def _rest(self) -> Said | None:
        """Return what follows, though it be after something that never came."""
        names = (key.removeprefix(self.said) for key in self.depot.keys(self.said))
        later = [int(name) for name in names if _NUMBER.fullmatch(name)]
        left = [number for number in later if number >= self._number]
        if not left:
            return None
        self._number = min(left)
        return self._next()

    def _next(self) -> Said | None:
        data = self.depot.get(f"{self.said}{self._number:08}")
        if data is None:
            return None
        self._number += 1
        lines, reports = _told(data)
        self._lines += len(lines)
        if self._lines > _LINES:
            raise BuildFailed(
                f"the work has printed more than {_LINES} lines",
                hint="let it print to a file",
                operation="images.build",
                backend=NAME,
            )
        found = tuple(report for text in reports if (report := report_of(text)))
        self._is_ending |= any(_is_last(report) for report in found)
        return Said(lines=lines, reports=found)

    def _state(self) -> str:
        ec2 = self.aws.reads.ec2
        try:
            answer = self.aws.read(
                "ec2.DescribeInstances",
                self.instance,
                lambda: ec2.describe_instances(InstanceIds=[self.instance]),
            )
        except ImmutableError as exc:
            # so shortly after it was launched it need not be known everywhere
            if said(exc) == _MISSING:
                return "pending"
            raise
        rows = [i for r in answer["Reservations"] for i in r.get("Instances", [])]
        return rows[0]["State"]["Name"] if rows else "terminated"

    def _stop(self) -> None:
        """See that it is off: what is on may still write."""
        if self._state() == "stopped":
            return
        ec2 = self.aws.changes.ec2
        retrying(
            lambda: self.aws.change(
                "ec2.StopInstances",
                self.instance,
                lambda: ec2.stop_instances(InstanceIds=[self.instance]),
            ),
            host=host.current(),
            also=(Ambiguous,),
        )
        wait_until(
            lambda: self._state() == "stopped" or None,
            f"stopping {self.instance}",
            within=STOPPING,
            every=_LOOK,
        )

    def _created(self) -> ImageId:
        """Return the id of the image, made once: EC2 gives a name to one image alone."""
        ec2 = self.aws.changes.ec2
        tags = to_tags(dict(self.tags))
        try:
            answer = retrying(
                lambda: self.aws.change(
                    "ec2.CreateImage",
                    self.name,
                    lambda: ec2.create_image(
                        InstanceId=self.instance,
                        Name=self.name,
                        TagSpecifications=[
                            {"ResourceType": "image", "Tags": tags},
                            {"ResourceType": "snapshot", "Tags": tags},
                        ],
                    ),
                ),
                host=host.current(),
            )
        except (Ambiguous, Taken):
            return wait_until(
                self._ours,
                f"making an image of {self.instance}",
                within=timedelta(minutes=2),
                every=_LOOK,
            )
        return ImageId(answer["ImageId"])

    def _ours(self) -> ImageId | None:
        """Return who has the name: we, or another builder of the same recipe."""
        found = catalog.named(self.aws, self.name)
        if found is None:
            return None
        check_own(found, dict(self.tags)[RECIPE])
        return found.id

    def _finished(self, image: ImageId) -> Ami | None:
        self.on_alive()
        found = catalog.look_up(self.aws, image, (catalog.OWN,))
        return found if found is not None and found.state != "pending" else None


def _is_last(report: Report) -> bool:
    """Return whether a builder powers itself off after it has said this."""
    return report.event in {"captured", "failed"} or bool(report.status)


def check_own(ami: Ami, recipe: str) -> None:
    """Check that an image that has a recipe's name was built from the recipe.

    Raises:
        Taken: it was not.
    """
    if dict(ami.tags).get(RECIPE) != recipe:
        raise Taken(
            f"{ami.id} is called {ami.name}, and was not built from this recipe",
            hint="deregister it, if nobody needs it",
            operation="images.build",
            resource=ami.id,
            backend=NAME,
        )


def _told(data: bytes) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the lines and the reports of what a stranger wrote; none where it is damaged."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        return (), ()
    if not isinstance(found, dict):
        return (), ()
    return _texts(found.get("lines")), _texts(found.get("reports"))


def _texts(value: object) -> tuple[str, ...]:
    rows = value if isinstance(value, list) else []
    return tuple(row for row in rows if isinstance(row, str))
