"""What the ledger on S3 rests upon: an object is created once, whoever races for it."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from asking import refusal
from botocore.exceptions import ClientError

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]
WRITERS = 16


def test_one_writer_creates_an_object(live, bucket):
    """`If-None-Match: *`: one is accepted; the others are told so, or told to ask again."""
    key = f"race/{uuid.uuid4().hex}"
    clients = [live.client("s3") for _ in range(WRITERS)]

    def put(numbered):
        number, client = numbered
        body = b"by %d" % number
        try:
            client.put_object(Bucket=bucket, Key=key, Body=body, IfNoneMatch="*")
        except ClientError as exc:
            return exc.response["ResponseMetadata"]["HTTPStatusCode"]
        return body

    with ThreadPoolExecutor(WRITERS) as pool:
        found = list(pool.map(put, enumerate(clients)))
    won = [each for each in found if isinstance(each, bytes)]
    assert len(won) == 1
    assert {each for each in found if isinstance(each, int)} <= {409, 412}
    stored = live.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    assert stored == won[0]
    live.client("s3").delete_object(Bucket=bucket, Key=key)


def test_a_bucket_of_another_account_is_refused(live, bucket, place):
    """`ExpectedBucketOwner` keeps records out of a bucket that somebody else took."""
    if "emulated" in place:
        pytest.skip("moto does not look at the owner of a bucket")
    refused = refusal(
        live.client("s3").put_object,
        Bucket=bucket,
        Key="never",
        Body=b"",
        ExpectedBucketOwner="999999999999",
    )
    assert refused == "AccessDenied"
