"""What moto does well once requests come one at a time: S3, Logs; and the pinned version."""

import threading
import time

import pytest
from botocore.exceptions import ClientError

from emulators.aws import hooks
from emulators.aws.account import ONCE, session_of

RACERS, ROUNDS = 8, 5


@pytest.fixture
def s3(emulator):
    """Give a client with a bucket."""
    client = session_of().client("s3", endpoint_url=emulator.url, config=ONCE)
    where = {"LocationConstraint": "eu-west-1"}
    client.create_bucket(Bucket="ledger", CreateBucketConfiguration=where)
    return client


def test_one_of_many_creates_an_object(s3):
    """S3, "Conditional writes": If-None-Match; moto without a lock has two winners."""
    for number in range(ROUNDS):
        codes = _race(s3, f"object-{number}", IfNoneMatch="*")
        assert codes.count("") == 1
        assert set(codes) == {"", "PreconditionFailed"}


def test_one_of_many_replaces_an_object(s3):
    """S3, "Conditional writes": If-Match."""
    for number in range(ROUNDS):
        key = f"object-{number}"
        tag = s3.put_object(Bucket="ledger", Key=key, Body=b"first")["ETag"]
        codes = _race(s3, key, IfMatch=tag)
        assert codes.count("") == 1


def test_logs_are_put_read_and_filtered(emulator):
    """Logs: PutLogEvents, GetLogEvents, FilterLogEvents by text."""
    logs = session_of().client("logs", endpoint_url=emulator.url, config=ONCE)
    where = {"logGroupName": "/fleet/one", "logStreamName": "i-1"}
    logs.create_log_group(logGroupName="/fleet/one")
    logs.create_log_stream(**where)
    now = 1000 * int(time.time())
    events = [{"timestamp": now, "message": m} for m in ("fine", "error: no")]
    logs.put_log_events(**where, logEvents=events)
    found = logs.get_log_events(**where)["events"]
    assert [each["message"] for each in found] == ["fine", "error: no"]
    found = logs.filter_log_events(logGroupName="/fleet/one", filterPattern="error")
    assert [each["message"] for each in found["events"]] == ["error: no"]


def test_another_moto_is_refused(monkeypatch):
    """The canary: what is patched is the inside of one version."""
    monkeypatch.setattr(hooks, "MOTO", "0.0.0")
    with pytest.raises(hooks.UnknownMotoError):
        hooks.install(None, ())


def test_what_nobody_answers_is_a_bug(process):
    """A call that neither moto nor a handler knows must not look like a network fault."""
    process.reset()
    client = session_of().client("autoscaling", endpoint_url=process.url, config=ONCE)
    with pytest.raises(ClientError) as caught:
        client.describe_adjustment_types()
    assert caught.value.response["Error"]["Code"] == "EmulatorBug"
    assert any("DescribeAdjustmentTypes" in bug for bug in process.bugs())


def _race(s3, key, **condition):
    codes = []

    def put(body):
        try:
            s3.put_object(Bucket="ledger", Key=key, Body=body, **condition)
            codes.append("")
        except ClientError as error:
            codes.append(error.response["Error"]["Code"])

    threads = [
        threading.Thread(target=put, args=(str(number).encode(),))
        for number in range(RACERS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return codes
