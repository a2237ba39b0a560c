"""One bucket: the four calls that a ledger makes, and what their errors mean there.

Which errors S3 has is in https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, TypedDict, TypeVar

import attrs

from immutable.errors import (
    ImmutableError,
    InvalidInput,
    LedgerError,
    PermissionDenied,
)
from immutable_aws.errors import NAME, said, words_of
from immutable_aws.session import Aws, Place, aws_of

if TYPE_CHECKING:
    from mypy_boto3_s3.type_defs import ListObjectsV2OutputTypeDef

MISSING = frozenset({"404", "NoSuchKey"})
_ELSEWHERE = frozenset(
    {
        "AuthorizationHeaderMalformed",
        "IllegalLocationConstraintException",
        "PermanentRedirect",
    }
)
_DENIED = frozenset({"403", "AccessDenied", "AllAccessDisabled"})
_PAGE = 1000
_NEEDED = "s3:GetObject, s3:PutObject and s3:ListBucket"
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
_KEY_NEEDED = (
    "the bucket is encrypted with a key of KMS: the role needs kms:GenerateDataKey and"
    " kms:Decrypt on it, and the key's own policy must let it"
)
_T = TypeVar("_T")


class Owner(TypedDict, total=False):
    """The condition that goes with every call where an account is named."""

    ExpectedBucketOwner: str


@attrs.frozen
class Entry:
    """An object as a listing shows it. Its tag is another where its contents are."""

    key: str
    tag: str


@attrs.frozen
class Content:
    """An object, whole."""

    tag: str
    data: bytes


@attrs.frozen
class Page:
    """Part of a listing, and whether there is more."""

    entries: tuple[Entry, ...]
    more: bool


@attrs.frozen(kw_only=True)
class Bucket:
    """A bucket of one place. Where the place names an account, it must be the owner's."""

    place: Place
    name: str

    @property
    def aws(self) -> Aws:
        """Return this process's clients; after a fork they are others."""
        return aws_of(self.place)

    def create(self, key: str, data: bytes) -> str:
        """Make an object where there is none, in one call, and return its tag.

        Raises:
            ImmutableError: as S3 answers; `said` tells refusals apart.
        """
        s3 = self.aws.changes.s3

        def put() -> str:
            return s3.put_object(
                Bucket=self.name, Key=key, Body=data, IfNoneMatch="*", **self.owner
            )["ETag"]

        return self._explained(
            lambda: self.aws.change("s3.PutObject", self._url(key), put)
        )

    def get(self, key: str) -> Content | None:
        """Return an object, or None when there is none."""
        try:
            return self.read("s3.GetObject", key, lambda: self._got(key))
        except ImmutableError as exc:
            if said(exc) in MISSING:
                return None
            raise

    def page(self, prefix: str, *, after: str, count: int) -> Page:
        """Return the first objects after a key, in the order of their keys.

        S3 lists what was there when it was asked, with everything acknowledged before:
        https://docs.aws.amazon.com/AmazonS3/latest/userguide/Welcome.html#ConsistencyModel
        """
        found = self.read(
            "s3.ListObjectsV2", prefix, lambda: self._listed(prefix, after, count)
        )
        entries = [Entry(o["Key"], o["ETag"]) for o in found.get("Contents", [])]
        return Page(tuple(entries), more=found["IsTruncated"])

    def is_public(self) -> bool:
        """Return whether S3 calls the bucket's policy public; False: it does not say.

        https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetBucketPolicyStatus.html
        """
        s3 = self.aws.reads.s3
        try:
            answer = self.read(
                "s3.GetBucketPolicyStatus",
                "",
                lambda: s3.get_bucket_policy_status(Bucket=self.name, **self.owner),
            )
        except ImmutableError:
            return False
        return answer.get("PolicyStatus", {}).get("IsPublic", False)

    @property
    def owner(self) -> Owner:
        """Return the condition, for other readings of the bucket."""
        account = self.place.account
        return {"ExpectedBucketOwner": account} if account else {}

    def read(self, operation: str, key: str, call: Callable[[], _T]) -> _T:
        """Return what a reading returns.

        Raises:
            ImmutableError: as S3 answers, explained.
        """
        return self._explained(lambda: self.aws.read(operation, self._url(key), call))

    def _url(self, key: str) -> str:
        return f"s3://{self.name}/{key}"

    def _got(self, key: str) -> Content:
        s3 = self.aws.reads.s3
        answer = s3.get_object(Bucket=self.name, Key=key, **self.owner)
        with answer["Body"] as body:
            return Content(answer["ETag"], body.read())

    def _listed(
        self, prefix: str, after: str, count: int
    ) -> "ListObjectsV2OutputTypeDef":
        return self.aws.reads.s3.list_objects_v2(
            Bucket=self.name,
            Prefix=prefix,
            StartAfter=after,
            MaxKeys=min(count, _PAGE),
            **self.owner,
        )

    def _explained(self, call: Callable[[], _T]) -> _T:
        """Return what a call returns; say what a bucket that cannot be used is."""
        try:
            return call()
        except ImmutableError as exc:
            if (better := self._meaning(exc)) is not None:
                raise better from exc.__cause__
            raise

    def _meaning(self, error: ImmutableError) -> ImmutableError | None:
        found = said(error)
        if found == "NoSuchBucket":
            hint = "check the name, or make it: aws s3api create-bucket"
            return LedgerError(f"there is no bucket {self.name}", hint=hint)
        if found in _ELSEWHERE:
            hint = f"run: aws s3api get-bucket-location --bucket {self.name}"
            return InvalidInput(
                f"the bucket {self.name} is not in {self.place.region}", hint=hint
            )
        if found in _DENIED:
            # whose right is missing, the bucket's or its key's, only its words tell
            words = words_of(error.__cause__)
            return PermissionDenied(
                f"{error.operation} is refused in the bucket {self.name}: {words}",
                hint=_KEY_NEEDED if "kms:" in words else self._permission_hint(),
                operation=error.operation,
                resource=error.resource,
                backend=NAME,
            )
        return None

    def _permission_hint(self) -> str:
        owner = self.place.account
        also = f", and the bucket must belong to {owner}" if owner else ""
        return f"the role needs {_NEEDED} there{also}"
