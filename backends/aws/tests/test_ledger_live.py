"""The ledger's contract on a real bucket: only where one is named, and never in CI.

    IMMUTABLE_LIVE_S3="s3://a-bucket/tests?region=eu-west-1" pytest …/test_ledger_live.py

Records are never deleted: choose a bucket, or a prefix, that may be thrown away.
"""

import os
import threading
import uuid

import pytest

from immutable.errors import SequenceTaken
from immutable.model import ServiceName
from immutable.testing.conformance import LedgerSubject, ledger_cases
from immutable.urls import Url
from immutable_aws.ledger import open_ledger

_URL = os.environ.get("IMMUTABLE_LIVE_S3", "")
_WRITERS, _ROUNDS = 16, 50

pytestmark = pytest.mark.skipif(
    not _URL, reason="no real bucket: IMMUTABLE_LIVE_S3 names none"
)


@pytest.fixture
def ledger_subject():
    """Return the store to hold to the contract."""
    return LedgerSubject(ledger=_URL, name="s3 (live)")


test_it_keeps_the_contract = ledger_cases()


def test_one_writer_wins_every_race():
    """What moto does behind a lock of ours, S3 does by itself."""
    stores = [_opened() for _ in range(_WRITERS)]
    stream = f"race/{uuid.uuid4().hex}"
    for number in range(1, _ROUNDS + 1):
        won = _race(stores, stream, number)
        assert len(won) == 1
        assert stores[0].last(stream) == (number, b"by %d" % won[0])


def _opened():
    return open_ledger(Url.parse(_URL), service=ServiceName("live"))


def _race(stores, stream, number):
    won, gate = [], threading.Barrier(len(stores))

    def write(me, store):
        gate.wait(timeout=60)
        try:
            store.append(stream, number, b"by %d" % me)
        except SequenceTaken:
            return
        won.append(me)

    threads = [
        threading.Thread(target=write, args=(me, store))
        for me, store in enumerate(stores)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    return won
