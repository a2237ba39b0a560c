"""Storing an object once, and knowing whether it was ours that was stored.

S3 answers 412 to whoever comes second, which may be we ourselves, by an attempt whose
answer was lost. So each refusal, and each silence, is settled by reading: the nonce in the
contents says whose it is. Repeating is safe, because every attempt stores the same bytes
under the same condition: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
"""

from datetime import timedelta

from immutable import host
from immutable.errors import Ambiguous, ImmutableError, SequenceTaken, Unavailable
from immutable.host import Never
from immutable_aws.errors import said
from immutable_aws.s3.bucket import Bucket

_ATTEMPTS = 4
_PAUSE = timedelta(milliseconds=200)
_OPEN = frozenset(
    {"ConditionalRequestConflict", "OperationAborted", "PreconditionFailed"}
)
_NEVER = Never()


def store(bucket: Bucket, key: str, data: bytes, *, what: str) -> str:
    """Store an object under a key that nobody has used; return its tag.

    Args:
        bucket: where.
        key: must not be there yet.
        data: no other writer's bytes are the same.
        what: names it in messages.

    Raises:
        SequenceTaken: somebody else's object is there.
        Ambiguous: it may or may not be stored, or be stored yet.
        ImmutableError: it was refused, and is not stored.
    """
    doubt: ImmutableError | None = None
    last: ImmutableError | None = None
    for attempt in range(_ATTEMPTS):
        if attempt:
            _rest(attempt)
        try:
            return bucket.create(key, data)
        except ImmutableError as exc:
            last = exc
            if isinstance(exc, Ambiguous) or said(exc) == "RequestTimeout":
                doubt = exc
            elif said(exc) not in _OPEN:
                if doubt is None:
                    raise
                raise _unknown(what, doubt) from exc
        if (tag := _stored(bucket, key, data, what)) is not None:
            return tag
    if doubt is not None:
        raise _unknown(what, doubt) from doubt
    message = f"{what} could not be stored: others write there"
    raise Unavailable(message, retryable=True) from last


def _stored(bucket: Bucket, key: str, data: bytes, what: str) -> str | None:
    """Return the tag of our own object; None: there is none at all, so far."""
    try:
        found = bucket.get(key)
    except ImmutableError as exc:
        raise _unknown(what, exc) from exc
    if found is not None and found.data != data:
        raise SequenceTaken(
            f"{what} is taken: somebody else was first",
            resource=f"s3://{bucket.name}/{key}",
        )
    return found.tag if found else None


def _unknown(what: str, cause: ImmutableError) -> Ambiguous:
    return Ambiguous(
        f"{what} may or may not be stored: {cause.message}", hint="read to know"
    )


def _rest(attempt: int) -> None:
    here = host.current()
    here.sleep(_PAUSE * 2**attempt * here.chance(), _NEVER)
