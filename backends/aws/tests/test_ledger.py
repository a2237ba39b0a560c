"""The ledger on S3, on a server that obeys conditions one request at a time (moto)."""

import uuid
from collections import Counter
from datetime import timedelta

import pytest
from racing import race

import immutable
from immutable import host
from immutable.errors import (
    Ambiguous,
    InvalidInput,
    LedgerError,
    LedgerTooNew,
    NotALedger,
    PermissionDenied,
    SequenceTaken,
    Unavailable,
)
from immutable.host import ThisHost
from immutable.ledger.journal import Journal
from immutable.ledger.records import Renewed
from immutable.model import ServiceName
from immutable.testing import forget
from immutable.testing.conformance import LedgerSubject, ledger_cases
from immutable.urls import Url
from immutable_aws.ledger import S3Store, open_ledger
from immutable_aws.s3.bucket import Bucket
from immutable_aws.session import Place, aws_of

_REGION = "eu-west-1"
_PLACE = Place(region=_REGION)
_URL = f"s3://ledgers/team?region={_REGION}"
_SHOP = ServiceName("shop")
_STREAM = "service/shop"
_CONDITIONS = "PUT /ledgers/team/conditions"
_PUT = "PUT /ledgers/team/service"
_GET = "GET /ledgers/team/service"
_LIST = "GET /ledgers"


class _Impatient(ThisHost):
    """A host on which pauses take no time, and whose clock can be moved."""

    def __init__(self):
        super().__init__()
        self.ahead = timedelta()

    def now(self):
        return super().now() + self.ahead

    def sleep(self, pause, stop):
        self.ahead += pause


@pytest.fixture
def clock():
    """Let pauses of this test take no time."""
    impatient = _Impatient()
    with host.running_on(impatient):
        yield impatient


@pytest.fixture
def newcomer(monkeypatch):
    """Let this test's process be one that has spoken to nobody before."""
    monkeypatch.setenv("AWS_EXECUTION_ENV", uuid.uuid4().hex)


@pytest.fixture
def bucket(wire, clock):
    """Return the client of a server with an empty bucket, where nothing was asked yet."""
    s3 = _with_bucket(aws_of(_PLACE).changes.s3)
    wire.clear()
    return s3


@pytest.fixture
def store(bucket, wire):
    """Return a store that has checked its bucket, and has one record."""
    opened = _opened()
    opened.append(_STREAM, 1, b"first")
    wire.clear()
    return opened


def _with_bucket(s3):
    s3.create_bucket(
        Bucket="ledgers",
        CreateBucketConfiguration={"LocationConstraint": _REGION},
    )
    return s3


def _opened(url=_URL):
    return open_ledger(Url.parse(url), service=_SHOP)


def _key(number, stream=_STREAM):
    return f"team/{stream}/!{10**12 - 1 - number:012d}-{number}"


def _shape(wire):
    """Return the requests in the words of S3's operations."""
    return [_name(request) for request in wire.requests]


def _name(request):
    if "list-type=2" in request.query:
        return "ListObjectsV2"
    if "policyStatus" in request.query:
        return "GetBucketPolicyStatus"
    return {"PUT": "PutObject", "GET": "GetObject"}[request.method]


@pytest.fixture(params=["bucket", "emulated_bucket"])
def ledger_subject(request):
    """Return the store to hold to the contract, on moto and on the emulated AWS."""
    request.getfixturevalue(request.param)
    return LedgerSubject(ledger=_URL, name=f"s3 ({request.param})")


@pytest.fixture
def emulated_bucket(emulator):
    """Return the client of the emulated AWS, with an empty bucket."""
    return _with_bucket(aws_of(_PLACE).changes.s3)


test_it_keeps_the_contract = ledger_cases()


def test_one_writer_wins_every_race(bucket, ran):
    """Of 16 writers with one number exactly one is stored, fifty times over."""
    stores = [_opened() for _ in range(16)]
    stores[0].append("race", 1, b"begun")
    for number in range(2, 52):
        won, lost = race(stores, "race", number)
        assert (len(won), len(lost)) == (1, 15)
        assert stores[0].last("race") == (number, b"by %d" % won[0])
    ran("16 writers raced for each of 50 records in S3")


def test_a_journal_lives_in_it(store):
    """The core's journal founds a ledger there, appends by compare-and-set and loads."""
    first = Journal(_opened(), _SHOP, host.current())
    second = Journal(_opened(), ServiceName("cart"), host.current())
    identity = first.found_identity()
    assert second.found_identity() == identity
    state = second.load()
    assert second.append(Renewed()).sequence == state.sequence + 1
    assert Journal(_opened(), ServiceName("cart"), host.current()).load().sequence == 1


# -- what it costs --------------------------------------------------------------


def test_appending_is_one_request(store, wire):
    """Once the end is known, a record costs one conditional write."""
    store.append(_STREAM, 2, b"second")
    store.append(_STREAM, 3, b"third")
    assert _shape(wire) == ["PutObject", "PutObject"]
    assert [r.headers["if-none-match"] for r in wire.requests] == ["*", "*"]


def test_the_first_append_checks_the_store(newcomer, bucket, wire):
    """The first write of a process costs the probe, its bucket's status and a listing."""
    _opened().append(_STREAM, 1, b"first")
    expected = ["PutObject", "PutObject", "GetBucketPolicyStatus"]
    assert _shape(wire) == [*expected, "ListObjectsV2", "PutObject"]
    wire.clear()
    _opened().append(_STREAM, 2, b"second")
    assert _shape(wire) == ["ListObjectsV2", "PutObject"]


def test_another_process_probes_with_one_request(newcomer, store, wire, monkeypatch):
    """Where the probe's object is there, a refusal proves conditions at once."""
    monkeypatch.setenv("AWS_EXECUTION_ENV", uuid.uuid4().hex)
    _opened().append(_STREAM, 2, b"second")
    asked = [r.path for r in wire.requests if "conditions" in r.path]
    assert asked == ["/ledgers/team/conditions"]


@pytest.mark.parametrize("length", [1, 40])
def test_last_costs_the_same_for_any_history(store, wire, length):
    """The newest record is one listing of one key, and one reading."""
    for number in range(2, length + 1):
        store.append(_STREAM, number, b"%d" % number)
    wire.clear()
    assert _opened().last(_STREAM)[0] == length
    assert _shape(wire) == ["ListObjectsV2", "GetObject"]
    assert "max-keys=1&" in f"{wire.requests[0].query}&"


def test_what_was_read_is_not_read_again(store, wire):
    """Records never change, so only the listing is asked for anew."""
    store.append(_STREAM, 2, b"second")
    wire.clear()
    assert store.last(_STREAM) == (2, b"second")
    rows = store.read(_STREAM, after=0, limit=10)
    assert [number for number, _ in rows] == [1, 2]
    assert _shape(wire) == ["ListObjectsV2", "ListObjectsV2"]


def test_reading_lists_only_what_is_asked_for(store, wire):
    """A window in the middle of a history is one listing of its size."""
    for number in range(2, 31):
        store.append(_STREAM, number, b"%d" % number)
    wire.clear()
    rows = _opened().read(_STREAM, after=10, limit=5)
    assert [number for number, _ in rows] == [11, 12, 13, 14, 15]
    assert _shape(wire) == ["ListObjectsV2", *["GetObject"] * 5]
    assert "max-keys=5&" in f"{wire.requests[0].query}&"


def test_reading_goes_on_where_others_were_faster(store, wire):
    """A page that is too short for what others have written is followed by more."""
    other = _opened()
    for number in range(2, 61):
        other.append(_STREAM, number, b"%d" % number)
    rows = store.read(_STREAM, after=0, limit=1000)
    assert [number for number, _ in rows] == list(range(1, 61))


def test_an_account_is_a_condition_of_every_request(bucket, wire):
    """Where an account is named, the bucket's owner is asserted by each call."""
    store = _opened(f"{_URL}&account=123456789012")
    store.append(_STREAM, 1, b"first")
    store.last(_STREAM)
    _opened(f"{_URL}&account=123456789012").read(_STREAM, after=0, limit=9)
    owners = {r.headers.get("x-amz-expected-bucket-owner") for r in wire.requests}
    assert owners == {"123456789012"}


# -- faults ---------------------------------------------------------------------


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_lost_answer_is_settled_by_reading(store, wire, when):
    """A connection that ends before or after the effect leaves one record, and no doubt."""
    wire.cut(when, _PUT)
    store.append(_STREAM, 2, b"second")
    assert _opened().read(_STREAM, after=0, limit=9)[1:] == ((2, b"second"),)
    tried = {"before": 2, "after": 1}
    assert _shape(wire).count("PutObject") == tried[when]


@pytest.mark.parametrize(
    ("status", "code"),
    [(500, "InternalError"), (503, "ServiceUnavailable"), (400, "RequestTimeout")],
)
def test_a_servers_error_is_settled_by_reading(store, wire, status, code):
    """What a server's error leaves open is read, and written again where it is not."""
    wire.refuse(status, code, _PUT)
    store.append(_STREAM, 2, b"second")
    assert _shape(wire)[:3] == ["PutObject", "GetObject", "PutObject"]
    assert store.last(_STREAM) == (2, b"second")


def test_a_conflict_of_writers_is_tried_again(store, wire):
    """409 says that two wrote at once, and that neither may have won."""
    wire.refuse(409, "ConditionalRequestConflict", _PUT)
    store.append(_STREAM, 2, b"second")
    assert store.last(_STREAM) == (2, b"second")


def test_conflicts_without_end_are_no_effect(store, wire):
    """Where every attempt was refused, nothing is stored and all may be tried again."""
    wire.refuse(409, "ConditionalRequestConflict", *[_PUT] * 4)
    with pytest.raises(Unavailable) as caught:
        store.append(_STREAM, 2, b"second")
    assert caught.value.retryable
    assert store.last(_STREAM) == (1, b"first")


def test_a_throttled_write_had_no_effect(store, wire):
    """SlowDown is a refusal: the engine tries again, more slowly; botocore does not."""
    wire.refuse(503, "SlowDown", _PUT)
    with pytest.raises(Unavailable) as caught:
        store.append(_STREAM, 2, b"second")
    assert caught.value.retryable
    assert _shape(wire) == ["PutObject"]


def test_a_throttled_write_after_a_lost_answer_is_in_doubt(store, wire):
    """The first attempt may still be stored, whatever the second is told."""
    wire.cut("before", _PUT)
    wire.refuse(503, "SlowDown", _PUT)
    with pytest.raises(Ambiguous):
        store.append(_STREAM, 2, b"second")


def test_a_doubt_that_nobody_settles_is_said(store, wire):
    """Where the reading back fails too, the record may or may not be stored."""
    wire.cut("after", _PUT)
    wire.cut("before", *[_GET] * 4)
    with pytest.raises(Ambiguous):
        store.append(_STREAM, 2, b"second")
    assert _opened().last(_STREAM) == (2, b"second")


def test_a_lost_answer_of_a_lost_race_is_a_lost_race(store, wire, monkeypatch):
    """Reading back finds another's record, whose bytes are the same as ours."""
    other, get = [_opened()], Bucket.get

    def raced(bucket, key):
        if other:
            other.pop().append(_STREAM, 2, b"same")
        return get(bucket, key)

    monkeypatch.setattr(Bucket, "get", raced)
    wire.cut("before", _PUT)
    with pytest.raises(SequenceTaken):
        store.append(_STREAM, 2, b"same")
    assert _opened().last(_STREAM) == (2, b"same")


def test_an_attempt_that_lands_late_is_not_somebody_elses(store, wire, monkeypatch):
    """The first attempt is stored after we looked for it: the second is refused for it."""
    get, asked = Bucket.get, []

    def late(bucket, key):
        asked.append(key)
        return get(bucket, key) if len(asked) > 1 else None

    monkeypatch.setattr(Bucket, "get", late)
    wire.cut("after", _PUT)
    store.append(_STREAM, 2, b"second")
    assert _shape(wire) == ["PutObject", "PutObject", "GetObject"]
    assert _opened().last(_STREAM) == (2, b"second")


@pytest.mark.parametrize("when", ["before", "after"])
def test_any_lost_answer_leaves_one_history(bucket, wire, when, ran):
    """Whichever request of a deployer is cut, all its records are there, each once."""
    expected = _history_of("whole", wire)
    requests = len(wire.requests)
    for number in range(requests):
        wire.clear()
        wire.cut_nth(number, when)
        assert _history_of(f"cut-{number}", wire) == expected
    ran(
        f"a deployer's {requests} requests to S3 were cut one by one, {when} the effect"
    )


def _history_of(service, wire):
    """Append what a deployer does, and return what others read of it."""
    store = _opened()
    journal = Journal(store, ServiceName(service), host.current())
    journal.found_identity()
    journal.load()
    for _ in range(3):
        journal.append(Renewed())
    journal.load()
    journal.append(Renewed())
    records = list(Journal(_opened(), ServiceName(service), host.current()).history())
    return [(record.sequence, type(record.entry)) for record in records]


def test_whole_deployments_are_kept_in_it(wire, ran):
    """Releases go live, a bad one goes back, and the history is read from S3."""
    _with_bucket(aws_of(_PLACE).changes.s3)
    shop = immutable.Service(
        "shop", backend="memory://s3-ledger", ledger=_URL, ports=8080
    )
    recipe = immutable.Recipe.base("debian:12").packages("python3")
    assert immutable.deploy(shop, recipe).is_live
    wire.clear()
    assert immutable.deploy(shop, recipe.run("true")).is_live
    counts = Counter(_shape(wire))
    bad = immutable.deploy(shop, recipe.run("false"), validators=[lambda _: False])
    assert bad.outcome is immutable.Outcome.ROLLED_BACK
    lines = immutable.history(shop)
    assert [str(line.outcome) for line in lines] == ["live", "live", "rolled back"]
    forget("memory://s3-ledger")
    ran(f"a deployment whose ledger is in S3 asked it for {dict(counts)}")


def test_a_reading_that_is_cut_is_made_again(store, wire):
    """Reading is repeated by the SDK until there is an answer."""
    wire.cut("after", _LIST, _GET)
    assert _opened().last(_STREAM) == (1, b"first")


# -- what is refused ------------------------------------------------------------


class _Careless:
    """A store that looks like S3 and ignores conditions, by taking them off the wire."""

    def __init__(self, wire):
        self._wire = wire
        self._app = wire._app

    def __call__(self, environ, start_response):
        environ.pop("HTTP_IF_NONE_MATCH", None)
        return self._app(environ, start_response)


def test_a_store_that_ignores_conditions_is_refused(
    newcomer, bucket, wire, monkeypatch
):
    """Nothing is written but the probe where a second writer would not be refused."""
    monkeypatch.setattr(wire, "_app", _Careless(wire))
    with pytest.raises(LedgerError, match="overwrites"):
        _opened().append(_STREAM, 1, b"first")
    keys = [o["Key"] for o in bucket.list_objects_v2(Bucket="ledgers")["Contents"]]
    assert keys == ["team/conditions"]
    with pytest.raises(LedgerError, match="overwrites"):
        _opened().append(_STREAM, 1, b"first")


def test_a_store_that_knows_no_conditions_is_refused(newcomer, bucket, wire):
    """501 is such a store's honest answer."""
    wire.refuse(501, "NotImplemented", _CONDITIONS)
    with pytest.raises(LedgerError, match="overwrites"):
        _opened().append(_STREAM, 1, b"first")


def test_a_probe_without_answer_leaves_no_doubt(newcomer, bucket, wire):
    """No record was sent yet: the same call may be repeated."""
    wire.cut("after", _CONDITIONS)
    with pytest.raises(Unavailable) as caught:
        _opened().append(_STREAM, 1, b"first")
    assert caught.value.retryable
    _opened().append(_STREAM, 1, b"first")


def test_a_public_bucket_is_refused(newcomer, bucket):
    """Who can write the ledger can have anything deployed."""
    policy = (
        '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": "*",'
        ' "Action": "s3:*", "Resource": "arn:aws:s3:::ledgers/*"}]}'
    )
    bucket.put_bucket_policy(Bucket="ledgers", Policy=policy)
    with pytest.raises(LedgerError, match="public"):
        _opened().append(_STREAM, 1, b"first")


def test_a_number_that_leaves_a_gap_is_refused(store):
    """The bucket was emptied, or another one put in its place."""
    with pytest.raises(NotALedger, match="ends at record 1, so 3"):
        store.append(_STREAM, 3, b"third")
    assert store.last(_STREAM) == (1, b"first")


def test_an_emptied_bucket_is_noticed_by_a_deployer(store, bucket, clock):
    """What was seen of a stream's end is believed for less than a lease."""
    bucket.delete_object(Bucket="ledgers", Key=_key(1))
    clock.ahead += timedelta(seconds=21)
    with pytest.raises(NotALedger, match="ends at record 0"):
        store.append(_STREAM, 2, b"second")


def test_an_older_number_is_taken_without_a_write(store, wire):
    """A deployer that others have left behind loses, and has read why."""
    store.append(_STREAM, 2, b"second")
    wire.clear()
    with pytest.raises(SequenceTaken):
        store.append(_STREAM, 1, b"again")
    assert _shape(wire) == ["ListObjectsV2"]


def test_a_missing_record_is_told(store, bucket):
    """A hole between records is refused, not skipped."""
    for number in range(2, 6):
        store.append(_STREAM, number, b"%d" % number)
    bucket.delete_object(Bucket="ledgers", Key=_key(3))
    with pytest.raises(NotALedger, match="record 3 of service/shop is missing"):
        _opened().read(_STREAM, after=0, limit=10)


def test_a_page_of_missing_records_is_told(store, bucket):
    """Nothing in a page is the end only where nothing is behind it."""
    for number in range(2, 6):
        store.append(_STREAM, number, b"%d" % number)
    for number in (3, 4):
        bucket.delete_object(Bucket="ledgers", Key=_key(number))
    with pytest.raises(NotALedger, match="record 3 of service/shop is missing"):
        _opened().read(_STREAM, after=2, limit=2)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"", NotALedger),
        (b"immutable-record 1 0123\nx", NotALedger),
        (b"immutable-record 1\nx", NotALedger),
        (b"immutable-record 9 whatever\nx", LedgerTooNew),
        (b"<html>", NotALedger),
    ],
)
def test_a_foreign_object_is_refused(store, bucket, content, error):
    """What is no record is never handed on as one."""
    bucket.put_object(Bucket="ledgers", Key=_key(2), Body=content)
    with pytest.raises(error):
        store.last(_STREAM)


@pytest.mark.parametrize("name", ["5-backup", "000000000000-5"])
def test_a_foreign_key_is_refused(store, bucket, name):
    """Nothing else may be kept where records are."""
    bucket.put_object(Bucket="ledgers", Key=f"team/{_STREAM}/!{name}", Body=b"")
    with pytest.raises(NotALedger, match="is no record"):
        store.last(_STREAM)


def test_a_missing_bucket_is_told(wire, clock):
    """It is not made: whose it is, and where, is a decision."""
    with pytest.raises(LedgerError, match="there is no bucket") as caught:
        _opened().last(_STREAM)
    assert "create-bucket" in caught.value.hint


def test_a_refusal_says_what_is_needed(store, wire):
    """AccessDenied names the permissions, and the owner where one is asserted."""
    wire.refuse(403, "AccessDenied", _LIST)
    with pytest.raises(PermissionDenied) as caught:
        _opened(f"{_URL}&account=123456789012").last(_STREAM)
    assert "s3:ListBucket" in caught.value.hint
    assert "must belong to 123456789012" in caught.value.hint


@pytest.mark.parametrize(
    ("action", "request_", "call"),
    [
        ("GenerateDataKey", _PUT, lambda: _opened().append(_STREAM, 2, b"second")),
        ("Decrypt", _GET, lambda: _opened().last(_STREAM)),
    ],
)
def test_a_key_that_may_not_be_used_is_named(store, wire, action, request_, call):
    """AccessDenied may be of the key: AWS's own words say so, and are kept."""
    words = f"User: jo is not authorized to perform: kms:{action} on resource: key/1"
    wire.refuse(403, "AccessDenied", request_, message=words)
    with pytest.raises(PermissionDenied, match="key/1") as caught:
        call()
    assert "kms:GenerateDataKey and kms:Decrypt" in caught.value.hint
    assert "s3:" not in caught.value.hint


def test_a_bucket_elsewhere_is_told(store, wire):
    """A wrong region is named as one."""
    wire.refuse(400, "IllegalLocationConstraintException", _LIST, _LIST)
    with pytest.raises(InvalidInput, match="is not in eu-west-1"):
        _opened().last(_STREAM)


@pytest.mark.parametrize("number", [0, -1, 10**12])
def test_numbers_have_bounds(bucket, wire, number):
    """What is no number of a record is refused before any request."""
    with pytest.raises(InvalidInput):
        _opened().append(_STREAM, number, b"x")
    assert wire.requests == []


def test_a_record_has_a_largest_size(bucket, wire):
    """4 MiB are stored, and one byte more is refused before any request."""
    with pytest.raises(InvalidInput, match="too large"):
        _opened().append(_STREAM, 1, b"x" * ((4 << 20) + 1))
    assert wire.requests == []


@pytest.mark.parametrize("name", ["", "/a", "a//b", "..", "a/../b", "."])
def test_a_streams_name_has_bounds(bucket, wire, name):
    """What some client would take for another path is refused."""
    with pytest.raises(InvalidInput):
        _opened().last(name)
    assert wire.requests == []


@pytest.mark.parametrize(
    "url",
    [
        "s3://?region=eu-west-1",
        "s3://UPPER/team?region=eu-west-1",
        "s3://fast--euw1-az1--x-s3/team?region=eu-west-1",
        "s3://ledgers/a b?region=eu-west-1",
        "s3://ledgers/../team?region=eu-west-1",
        "s3://ledgers/team",
        "s3://ledgers/team?region=nowhere",
        "s3://ledgers/team?region=eu-west-1&account=12",
        "s3://ledgers/team?region=eu-west-1&acount=123456789012",
    ],
)
def test_an_address_that_cannot_work_is_refused(url, wire):
    """Before any request, and in words."""
    with pytest.raises(InvalidInput):
        _opened(url)
    assert wire.requests == []


def test_the_region_may_be_the_environments(wire, monkeypatch):
    """Where the address names none, the SDK's own setting does."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-3")
    assert _opened("s3://ledgers")._bucket.place.region == "eu-west-3"


def test_a_bucket_without_prefix_is_a_ledger(bucket):
    """Records may begin at the top of a bucket of their own."""
    store = S3Store(_PLACE, bucket="ledgers", prefix="")
    store.append(_STREAM, 1, b"first")
    assert store.last(_STREAM) == (1, b"first")


# -- advice ---------------------------------------------------------------------


def test_advice_names_what_the_bucket_lacks(store):
    """A new bucket keeps no versions, and its owner is not asserted."""
    lines = " ".join(store.advice())
    assert "versioning" in lines
    assert "account" in lines
    assert "Block Public Access" in lines


def test_a_bucket_as_it_should_be_gets_no_advice(bucket):
    """Versions are kept, the public is blocked, nothing expires, the owner is named."""
    bucket.put_bucket_versioning(
        Bucket="ledgers", VersioningConfiguration={"Status": "Enabled"}
    )
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy")
    every = dict.fromkeys((*names, "RestrictPublicBuckets"), True)
    bucket.put_public_access_block(
        Bucket="ledgers", PublicAccessBlockConfiguration=every
    )
    assert _opened(f"{_URL}&account=123456789012").advice() == ()


def test_a_rule_that_deletes_records_is_told(bucket):
    """Expiry would make holes."""
    rule = {"ID": "old", "Status": "Enabled", "Prefix": "", "Expiration": {"Days": 30}}
    bucket.put_bucket_lifecycle_configuration(
        Bucket="ledgers", LifecycleConfiguration={"Rules": [rule]}
    )
    assert "lifecycle" in " ".join(_opened().advice())
