"""Whether a store refuses to overwrite, found out before the first record is written.

Stores that look like S3 may accept the header of a condition and ignore it: of two
deployers both would win. One small object, which stays, is created again and again: once
it is there, only a refusal will do.
"""

from functools import cache

from immutable.errors import Ambiguous, ImmutableError, LedgerError, Unavailable
from immutable_aws.errors import said
from immutable_aws.s3.bucket import Bucket
from immutable_aws.s3.keys import Layout
from immutable_aws.session import Aws

_CONTENT = b"immutable-deploy sees here that this store never overwrites a record.\n"
_TRIES = 4
_TAKEN = "PreconditionFailed"
_NOT_NOW = "ConditionalRequestConflict"


def require_conditions(bucket: Bucket, layout: Layout) -> None:
    """Check once for each process and place that a record cannot be overwritten.

    One call to store and one reading, where the object is there already.

    Raises:
        LedgerError: it can be, or anybody may write there. No record was written.
        ImmutableError: the bucket cannot be used, or nobody answers.
    """
    _check(bucket.aws, bucket, layout)


@cache
def _check(_aws: Aws, bucket: Bucket, layout: Layout) -> None:
    _check_conditions(bucket, layout.probe)
    if bucket.is_public():
        raise LedgerError(
            f"the bucket {bucket.name} is public: anybody could write the ledger",
            hint="turn on Block Public Access, and give the role alone access",
        )


def _check_conditions(bucket: Bucket, key: str) -> None:
    accepted = 0
    for _ in range(_TRIES):
        answer = _created(bucket, key)
        if answer == _TAKEN:
            return
        accepted += not answer
        if accepted > 1:
            raise _unfit(bucket)
    raise Unavailable(f"s3://{bucket.name}/{key} is being written", retryable=True)


def _created(bucket: Bucket, key: str) -> str:
    """Create the object and return S3's objection, empty where there was none."""
    try:
        bucket.create(key, _CONTENT)
    except ImmutableError as exc:
        found = said(exc)
        if found in {_TAKEN, _NOT_NOW}:
            return found
        if found == "NotImplemented":
            raise _unfit(bucket) from exc
        # of this object it does not matter whether it was written
        if isinstance(exc, Ambiguous):
            raise Unavailable(exc.message, hint=exc.hint, retryable=True) from exc
        raise
    return ""


def _unfit(bucket: Bucket) -> LedgerError:
    return LedgerError(
        f"the store of {bucket.name} overwrites what must not exist yet",
        hint="use S3 itself, or a store that honours If-None-Match",
    )
