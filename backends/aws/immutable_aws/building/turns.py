"""One builder for one recipe: whoever makes an object first builds, and the others wait.

It is only there to save work. That there is one image in the end is for EC2, which lets no
two images of an account have one name.
"""

import json
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TypedDict

import attrs

from immutable import host
from immutable.errors import Ambiguous, BuildFailed, ImmutableError
from immutable.model import Token
from immutable.retrying import retrying
from immutable_aws.building.depot import TURNS, Depot
from immutable_aws.errors import NAME, said
from immutable_aws.s3.bucket import MISSING

LEASE = timedelta(seconds=90)
"""After so long without a sign of life whoever builds is taken to be dead."""
RENEWAL = timedelta(seconds=20)
_LOST = frozenset({"ConditionalRequestConflict", "PreconditionFailed", *MISSING})


class _Condition(TypedDict, total=False):
    IfMatch: str
    IfNoneMatch: str


@attrs.frozen(kw_only=True)
class Holder:
    """Whose turn it is, for how long nothing was heard, and the object's tag."""

    token: Token
    silent: timedelta
    tag: str


@attrs.define(kw_only=True)
class Turn:
    """The turn to build one image, by the image's name."""

    depot: Depot
    name: str
    token: Token
    _tag: str = attrs.field(default="", init=False)
    _number: int = attrs.field(default=0, init=False)
    _renewed_at: datetime | None = attrs.field(default=None, init=False)

    def take(self) -> Holder | None:
        """Take the turn; return who has it instead, if anybody has.

        Ours after a lost answer counts as taken.
        """
        if self._written({"IfNoneMatch": "*"}):
            return None
        holder = self._holder()
        if holder is not None and holder.token == self.token:
            self._tag = holder.tag
            return None
        return holder

    def take_over(self, holder: Holder) -> bool:
        """Take the turn of one who is dead; return whether nobody was faster."""
        return holder.silent > LEASE and self._written({"IfMatch": holder.tag})

    def renew(self) -> None:
        """Show that we live, now and then.

        Raises:
            BuildFailed: the turn is another's by now.
        """
        now = host.current().now()
        if self._renewed_at is not None and now - self._renewed_at < RENEWAL:
            return
        if not self._written({"IfMatch": self._tag}):
            holder = self._holder()
            if holder is None or holder.token != self.token:
                raise BuildFailed(
                    f"somebody else builds {self.name} now: nothing was heard of us",
                    hint="build again: it returns the image that they have built",
                    operation="images.build",
                    backend=NAME,
                )
            self._tag = holder.tag

    def leave(self) -> None:
        """Let others have the turn, unless they have it already."""
        s3 = self.depot.aws.changes.s3
        holder = self._holder()
        if holder is None or holder.token != self.token:
            return
        retrying(
            lambda: self.depot.aws.change(
                "s3.DeleteObject",
                self._key,
                lambda: s3.delete_object(
                    Bucket=self.depot.bucket, Key=self._key, **self.depot.owner
                ),
            ),
            host=host.current(),
            also=(Ambiguous,),
        )

    @property
    def _key(self) -> str:
        return f"{TURNS}{self.name}"

    def _written(self, condition: _Condition) -> bool:
        """Write ourselves down under a condition; return whether it held."""
        s3, aws = self.depot.aws.changes.s3, self.depot.aws
        self._number += 1
        body = json.dumps({"token": self.token, "number": self._number}).encode()

        def put() -> str:
            return s3.put_object(
                Bucket=self.depot.bucket,
                Key=self._key,
                Body=body,
                **self.depot.owner,
                **condition,
            )["ETag"]

        try:
            self._tag = aws.change("s3.PutObject", self._key, put)
        except ImmutableError as exc:
            if said(exc) not in _LOST and not isinstance(exc, Ambiguous):
                raise
            return False
        self._renewed_at = host.current().now()
        return True

    def _holder(self) -> Holder | None:
        """Return whose turn it is; how long ago is told by S3's clock alone."""
        s3 = self.depot.aws.reads.s3

        def got() -> Holder:
            answer = s3.get_object(
                Bucket=self.depot.bucket, Key=self._key, **self.depot.owner
            )
            with answer["Body"] as body:
                token = _token(body.read(1024))
            sent = answer["ResponseMetadata"]["HTTPHeaders"].get("date", "")
            now = parsedate_to_datetime(sent) if sent else answer["LastModified"]
            silent = now - answer["LastModified"]
            return Holder(token=token, silent=silent, tag=answer["ETag"])

        try:
            return self.depot.aws.read("s3.GetObject", self._key, got)
        except ImmutableError as exc:
            if said(exc) in MISSING:
                return None
            raise


def _token(body: bytes) -> Token:
    try:
        found = json.loads(body)
    except ValueError:
        return Token("")
    return Token(str(found.get("token", ""))) if isinstance(found, dict) else Token("")
