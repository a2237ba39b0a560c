"""What is handed to builders, and what they say: objects in one bucket.

All of one bake is below one prefix, whose name says until when it is of use to anybody:
``immutable-bake/20261123T101500Z-<token>/``. Reading after writing is consistent:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/Welcome.html#ConsistencyModel
"""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import attrs

from immutable import host
from immutable.errors import Ambiguous, ImmutableError, InvalidInput
from immutable.images.recipe import Recipe
from immutable.model import Token
from immutable.retrying import retrying
from immutable_aws.errors import NAME, said
from immutable_aws.s3.bucket import MISSING, Owner
from immutable_aws.session import Aws

PREFIX = "immutable-bake/"
TURNS = f"{PREFIX}turns/"
LONGEST_S = 7 * 24 * 3600
"""No signature is valid for longer:
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html"""
_OBJECT_BYTES = 4 << 20
_AT_ONCE = 1000
_STAMP = "%Y%m%dT%H%M%SZ"
_PLACE = re.compile(r"immutable-bake/(\d{8}T\d{6}Z)-([0-9a-f]+)/")


@attrs.frozen(kw_only=True)
class Form:
    """A request that anybody may send who has it: where to, and with which fields."""

    url: str
    fields: dict[str, str]


@attrs.frozen(kw_only=True)
class Depot:
    """A bucket, as far as builders are concerned."""

    aws: Aws
    bucket: str

    @classmethod
    def of(cls, aws: Aws, bucket: str | None, recipe: Recipe) -> "Depot":
        """Return the bucket that a config names.

        Raises:
            InvalidInput: it names none, or one whose requests cannot be signed.
        """
        if bucket is None:
            raise InvalidInput(
                f"building a recipe of {len(recipe.layers)} layers needs a bucket, by "
                "which a builder is handed its work",
                hint="name one of this region: ?bucket=…",
                backend=NAME,
            )
        if "." in bucket:
            # its name would be two labels, and S3's certificates are for one
            raise InvalidInput(
                f"the bucket {bucket} has a dot in its name",
                hint="name one without: ?bucket=…",
                backend=NAME,
            )
        return cls(aws=aws, bucket=bucket)

    def place(self, token: Token, expires_at: datetime) -> str:
        """Return the prefix of a bake."""
        return f"{PREFIX}{expires_at.astimezone(UTC):{_STAMP}}-{token}/"

    def places(self) -> Iterator[tuple[str, datetime, str]]:
        """Return every bake's prefix, when it expires, and its token."""
        pages = self.aws.reads.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=PREFIX, Delimiter="/", **self.owner
        )
        names = self.aws.read(
            "s3.ListObjectsV2",
            PREFIX,
            lambda: [
                row.get("Prefix", "")
                for page in pages
                for row in page.get("CommonPrefixes", [])
            ],
        )
        for name in names:
            if found := _PLACE.fullmatch(name):
                ends = datetime.strptime(found[1], _STAMP).replace(tzinfo=UTC)
                yield name, ends, found[2]

    def turns(self, *, before: datetime) -> tuple[str, ...]:
        """Return the keys of turns that were last renewed before a time."""
        pages = self.aws.reads.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=TURNS, **self.owner
        )
        return self.aws.read(
            "s3.ListObjectsV2",
            TURNS,
            lambda: tuple(
                row["Key"]
                for page in pages
                for row in page.get("Contents", [])
                if row["LastModified"] < before
            ),
        )

    def put(self, key: str, file: Path) -> None:
        """Upload a file."""

        def put() -> None:
            with file.open("rb") as stream:
                self.aws.changes.s3.put_object(
                    Bucket=self.bucket, Key=key, Body=stream, **self.owner
                )

        self._do("s3.PutObject", key, put)

    def get(self, key: str) -> bytes | None:
        """Return an object; None: there is none."""

        def got() -> bytes:
            answer = self.aws.reads.s3.get_object(
                Bucket=self.bucket, Key=key, **self.owner
            )
            with answer["Body"] as body:
                # it is a stranger's: no more is read than a builder is allowed to send
                return body.read(_OBJECT_BYTES)

        try:
            return self.aws.read("s3.GetObject", key, got)
        except ImmutableError as exc:
            if said(exc) in MISSING:
                return None
            raise

    def to_fetch(self, key: str, *, seconds: int) -> str:
        """Return a URL at which this object can be read for so long."""
        s3 = self.aws.signing.s3
        return s3.generate_presigned_url(
            "get_object",
            Params={"Bucket": self.bucket, "Key": key},
            ExpiresIn=min(seconds, LONGEST_S),
        )

    def to_send(self, prefix: str, *, seconds: int) -> Form:
        """Return the form by which objects below a prefix can be written for so long.

        A POST policy binds the beginning of the key, and the size:
        https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
        """
        made = self.aws.signing.s3.generate_presigned_post(
            self.bucket,
            prefix + "${filename}",
            Conditions=[
                ["starts-with", "$key", prefix],
                ["content-length-range", 0, _OBJECT_BYTES],
            ],
            ExpiresIn=min(seconds, LONGEST_S),
        )
        return Form(url=made["url"], fields=dict(made["fields"]))

    def clear(self, prefix: str) -> None:
        """Delete everything below a prefix."""
        s3 = self.aws.changes.s3
        for key in self.keys(prefix):
            deleting = partial(
                s3.delete_object, Bucket=self.bucket, Key=key, **self.owner
            )
            self._do("s3.DeleteObject", key, deleting)

    def keys(self, prefix: str) -> list[str]:
        """Return the keys of all objects below a prefix."""
        pages = self.aws.reads.s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=prefix, **self.owner
        )
        return self.aws.read(
            "s3.ListObjectsV2",
            prefix,
            lambda: [o["Key"] for page in pages for o in page.get("Contents", [])],
        )

    def _do(self, operation: str, key: str, call: Callable[[], object]) -> None:
        # what is written is the same each time, and what is deleted is gone
        retrying(
            lambda: self.aws.change(operation, f"s3://{self.bucket}/{key}", call),
            host=host.current(),
            also=(Ambiguous,),
        )

    @property
    def owner(self) -> Owner:
        """Return the condition that goes with every call."""
        account = self.aws.place.account
        return {"ExpectedBucketOwner": account} if account else {}
