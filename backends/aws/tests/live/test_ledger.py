"""The ledger's contract on a real bucket."""

import uuid

import pytest
from racing import race

from immutable.model import ServiceName
from immutable.testing.conformance import LedgerSubject, ledger_cases
from immutable.urls import Url
from immutable_aws.ledger import open_ledger

pytestmark = [pytest.mark.live, pytest.mark.timeout(600)]
_WRITERS, _ROUNDS = 16, 50


@pytest.fixture
def url(live, bucket, place):
    """Return the URL of an empty ledger; its records are deleted at the end."""
    prefix = live.name("ledger")
    yield f"s3://{bucket}/{prefix}?region={place['region']}"
    s3 = live.client("s3")
    pages = s3.get_paginator("list_objects_v2")
    for page in pages.paginate(Bucket=bucket, Prefix=f"{prefix}/"):
        for each in page.get("Contents", ()):
            s3.delete_object(Bucket=bucket, Key=each["Key"])


@pytest.fixture
def ledger_subject(url):
    """Return the store to hold to the contract."""
    return LedgerSubject(ledger=url, name="s3 (live)")


test_it_keeps_the_contract = ledger_cases()


def test_one_writer_wins_every_race(url):
    """What moto does behind a lock of ours, S3 does by itself."""
    stores = [_opened(url) for _ in range(_WRITERS)]
    stream = f"race/{uuid.uuid4().hex}"
    for number in range(1, _ROUNDS + 1):
        won, _ = race(stores, stream, number)
        assert len(won) == 1
        assert stores[0].last(stream) == (number, b"by %d" % won[0])


def _opened(url):
    return open_ledger(Url.parse(url), service=ServiceName("live"))
