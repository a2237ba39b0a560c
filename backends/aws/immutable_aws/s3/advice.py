"""What a ledger's bucket should have beside what the ledger itself needs."""

from collections.abc import Callable, Iterator

from immutable.errors import ImmutableError
from immutable_aws.errors import said
from immutable_aws.s3.bucket import Bucket


def advice(bucket: Bucket) -> tuple[str, ...]:
    """Return what the bucket lacks, one line each; what we may not read is left out."""
    return tuple(_lines(bucket))


def _lines(bucket: Bucket) -> Iterator[str]:
    name = bucket.name
    if bucket.place.account is None:
        yield f"add ?account= to the ledger's address: who owns {name} is not checked"
    for lacks, line in (
        (_keeps_no_versions, f"turn on versioning of {name}: what is deleted is lost"),
        (_is_not_blocked, f"turn on all of Block Public Access for {name}"),
        (
            _expires,
            f"a lifecycle rule of {name} deletes current objects: records, too?",
        ),
    ):
        if _answer(bucket, lacks):
            yield line


def _answer(bucket: Bucket, question: Callable[[Bucket], bool]) -> bool:
    try:
        return question(bucket)
    except ImmutableError as exc:
        # that nothing was ever set is an answer; that we may not know is none
        return said(exc) == "NoSuchPublicAccessBlockConfiguration"


def _keeps_no_versions(bucket: Bucket) -> bool:
    s3 = bucket.aws.reads.s3
    answer = bucket.read(
        "s3.GetBucketVersioning",
        "",
        lambda: s3.get_bucket_versioning(Bucket=bucket.name, **bucket.owner),
    )
    return answer.get("Status") != "Enabled"


def _is_not_blocked(bucket: Bucket) -> bool:
    s3 = bucket.aws.reads.s3
    answer = bucket.read(
        "s3.GetPublicAccessBlock",
        "",
        lambda: s3.get_public_access_block(Bucket=bucket.name, **bucket.owner),
    )["PublicAccessBlockConfiguration"]
    return not (
        answer.get("BlockPublicAcls")
        and answer.get("BlockPublicPolicy")
        and answer.get("IgnorePublicAcls")
        and answer.get("RestrictPublicBuckets")
    )


def _expires(bucket: Bucket) -> bool:
    s3 = bucket.aws.reads.s3
    answer = bucket.read(
        "s3.GetBucketLifecycleConfiguration",
        "",
        lambda: s3.get_bucket_lifecycle_configuration(
            Bucket=bucket.name, **bucket.owner
        ),
    )
    enabled = [r for r in answer.get("Rules", []) if r["Status"] == "Enabled"]
    return any("Expiration" in rule for rule in enabled)
