"""What instances said: while they live, and when they are gone."""

import json
import time
from datetime import timedelta

import pytest

from immutable import host
from immutable.errors import Ambiguous, InvalidInput, PermissionDenied
from immutable.host import ThisHost
from immutable.model import FleetName, InstanceId
from immutable_aws.groups.instances import instances_of
from immutable_aws.logs import AwsLogs
from immutable_aws.session import Aws, Place, aws_of
from immutable_aws.watching import journal
from immutable_aws.watching.console import LIMIT_BYTES, MOST, capture, read_console
from immutable_aws.watching.log_groups import RETENTION_DAYS, group_of, prepare
from immutable_aws.watching.readable import ending, harmless

_PLACE = Place(region="eu-west-1")
_FLEET = FleetName("shop-v3-3f9a1c")
_GROUP = "/immutable/shop"
_ONE, _TWO = InstanceId("i-0000000000000001a"), InstanceId("i-0000000000000002b")
_TAGS = {"immutable-service": "shop", "immutable-ledger": "6f3c"}
_CONSOLE = "\x1b[2J[ 0.0] booted\r\nlogin: "


@pytest.fixture
def aws(wire):
    """Return an account in which nothing was ever logged."""
    return aws_of(_PLACE)


@pytest.fixture
def logs(aws):
    """Return the logs of that account."""
    return AwsLogs(aws=aws, instances=instances_of(aws))


@pytest.fixture
def sent(aws, wire):
    """Return what writes as the agent on an instance does."""
    client = aws.changes.logs

    def send(instance, *messages, fleet=_FLEET, kind="journal"):
        stream = f"{fleet}/{instance}/{kind}"
        groups = client.describe_log_groups(logGroupNamePrefix=_GROUP)["logGroups"]
        if not groups:
            client.create_log_group(logGroupName=_GROUP)
        client.create_log_stream(logGroupName=_GROUP, logStreamName=stream)
        now_ms = int(time.time() * 1000)
        events = [
            {"timestamp": now_ms + at, "message": message}
            for at, message in enumerate(messages)
        ]
        for at in range(0, len(events), 10_000):
            client.put_log_events(
                logGroupName=_GROUP,
                logStreamName=stream,
                logEvents=events[at : at + 10_000],
            )
        wire.clear()

    return send


@pytest.fixture
def printed(aws):
    """Return an instance that runs, of which the server shows some console."""
    ec2 = aws.changes.ec2
    image = ec2.register_image(Name="good", RootDeviceName="/dev/xvda")["ImageId"]

    def launch(count=1):
        ran = ec2.run_instances(ImageId=image, MinCount=count, MaxCount=count)
        return [InstanceId(i["InstanceId"]) for i in ran["Instances"]]

    return launch


def _entry(message, **fields):
    """Return an entry of systemd's journal as the agent sends it."""
    return json.dumps({"body": {"MESSAGE": message, **fields}, "severity_text": ""})


# -- the journal ----------------------------------------------------------------


def test_a_fleet_that_nobody_knows_has_no_logs(logs):
    """Neither one that never was, nor a name that no fleet can have."""
    assert logs.read(_FLEET, tail_bytes=100) == ()
    assert logs.read(FleetName("nothing"), tail_bytes=100) == ()


def test_the_journal_of_instances_that_are_gone_is_read(logs, sent):
    """Each instance's lines, in order of id, and those of no other fleet."""
    sent(_TWO, "second")
    sent(_ONE, "first", "then more")
    sent(_ONE, "another's", fleet=FleetName("shop-v3-3f9a1c0"))
    found = logs.read(_FLEET, tail_bytes=100)
    assert [(log.instance, log.fleet, log.journal) for log in found] == [
        (_ONE, _FLEET, "first\nthen more\n"),
        (_TWO, _FLEET, "second\n"),
    ]


def test_entries_of_the_journal_are_lines(logs, sent):
    """What the agent sends as JSON is shown as journalctl does, and text as it is."""
    sent(
        _ONE,
        _entry("started", SYSLOG_IDENTIFIER="shop", _PID="42"),
        _entry([104, 105, 255], _SYSTEMD_UNIT="shop.service"),
        '{"level": "info"}',
        "plain",
    )
    (log,) = logs.read(_FLEET, tail_bytes=1000)
    lines = log.journal.splitlines()
    assert lines[0].partition(" ")[2] == "shop[42]: started"
    assert lines[0].startswith("20")
    assert lines[1].partition(" ")[2] == "shop.service: hi\ufffd"
    assert lines[2:] == ['{"level": "info"}', "plain"]


@pytest.mark.parametrize(
    "message", ["[" * 100_000, "null", "[]", '{"body": 3}', '{"MESSAGE": {"a": [1]}}']
)
def test_any_message_is_a_line(message):
    """Whatever a program logs, it is shown and breaks nothing."""
    assert journal.line_of(0, message)


def test_the_end_of_a_long_journal_is_read_page_by_page(logs, sent, wire):
    """As many pages as the asked size needs, from the end."""
    sent(_ONE, *(f"line {number:05d}" for number in range(12_000)))
    (log,) = logs.read(_FLEET, tail_bytes=1 << 20)
    lines = log.journal.splitlines()
    assert (lines[0], lines[-1], len(lines)) == ("line 00000", "line 11999", 12_000)
    wire.clear()
    (log,) = logs.read(_FLEET, tail_bytes=40)
    assert log.journal.splitlines()[-3:] == ["line 11997", "line 11998", "line 11999"]
    assert wire.operations.count("GetLogEvents") <= 4


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 7])
def test_no_more_bytes_are_returned_than_asked_for(logs, sent, limit):
    """Neither of the console nor of the journal, and no character is cut in two."""
    sent(_ONE, "é" * 10)
    sent(_ONE, "è" * 10, kind="console")
    (log,) = logs.read(_FLEET, tail_bytes=limit)
    for text in (log.console, log.journal):
        assert len(text.encode()) <= limit
        assert "\ufffd" not in text


def test_a_page_without_events_is_not_the_end(aws, sent, monkeypatch):
    """CloudWatch may answer with empty pages before it has come to the events."""
    sent(_ONE, "kept", kind="console")
    asked = journal._page

    def page(*where, token, **limit):
        if token is None:
            return {"events": [], "nextBackwardToken": "more"}
        return asked(*where, token=None if "more" in token else token, **limit)

    monkeypatch.setattr(journal, "_page", page)
    stream = f"{_FLEET}/{_ONE}/console"
    assert journal.newest(aws, _GROUP, stream) == "kept"
    assert journal.tail(aws, _GROUP, stream, 100) == "kept\n"


def test_a_negative_size_is_refused(logs, wire):
    """Before any request."""
    with pytest.raises(InvalidInput):
        logs.read(_FLEET, tail_bytes=-1)
    assert wire.requests == []


def test_what_may_not_be_read_is_no_absence(logs, wire, sent):
    """A refusal is raised: it must not look as if nothing had been logged."""
    sent(_ONE, "first")
    wire.refuse(403, "AccessDeniedException", "DescribeLogStreams")
    with pytest.raises(PermissionDenied):
        logs.read(_FLEET, tail_bytes=100)


def test_control_characters_do_not_reach_a_terminal(logs, sent):
    """An instance that was taken over cannot write to whoever reads its log."""
    sent(_ONE, "\x1b]0;owned\x07\u202e", kind="console")
    (log,) = logs.read(_FLEET, tail_bytes=1000)
    assert log.console == "\\x1b]0;owned\\x07\\u202e"


def test_reading_costs_two_and_one_for_each_journal(logs, sent, wire):
    """Streams and instances are asked for once for the whole fleet."""
    for number in range(5):
        sent(InstanceId(f"i-0000000000000000{number}"), "line")
    logs.read(_FLEET, tail_bytes=4)
    operations = wire.operations
    assert operations.count("DescribeLogStreams") == 1
    assert operations.count("DescribeInstances") == 1
    assert operations.count("GetLogEvents") == 5
    assert len(operations) == 7


def test_texts_are_cut_between_characters():
    """The end of a text is text."""
    assert ending("aé", 2) == "é"
    assert ending("aé", 1) == ""
    assert ending("aé", 9) == "aé"
    assert harmless("a\r\nb\rc\td") == "a\nb\\rc\td"


# -- consoles -------------------------------------------------------------------


def test_a_console_outlives_its_instance(aws, logs, printed, wire):
    """What is captured is what is read when nothing of the instance is left."""
    (instance,) = printed()
    shown = harmless(read_console(aws, instance))
    assert shown
    assert capture(aws, _FLEET, [instance], tags=_TAGS) == ()
    aws.changes.ec2.terminate_instances(InstanceIds=[instance])
    (log,) = logs.read(_FLEET, tail_bytes=1 << 20)
    assert (log.instance, log.console) == (instance, shown)


def test_a_group_is_made_with_tags_and_retention(aws, printed, wire):
    """Logs are found by the service's tags, and are not kept for ever."""
    capture(aws, _FLEET, printed(), tags=_TAGS)
    (group,) = aws.changes.logs.describe_log_groups()["logGroups"]
    assert (group["logGroupName"], group["retentionInDays"]) == (_GROUP, RETENTION_DAYS)
    arn = group["arn"].removesuffix(":*")
    assert aws.changes.logs.list_tags_for_resource(resourceArn=arn)["tags"] == _TAGS


def test_capturing_costs_three_calls_each(aws, printed, wire, sent):
    """Where the group is there: read, a stream, an event."""
    sent(_ONE, "x")
    instances = printed(3)
    wire.clear()
    assert capture(aws, _FLEET, instances) == ()
    expected = ["GetConsoleOutput", "CreateLogStream", "PutLogEvents"] * 3
    assert sorted(wire.operations) == sorted(expected)


def test_many_who_find_no_group_make_one(aws, printed, wire):
    """Consoles that are kept beside each other do not get in each other's way."""
    instances = printed(6)
    assert capture(aws, _FLEET, instances) == ()
    streams = aws.changes.logs.describe_log_streams(logGroupName=_GROUP)["logStreams"]
    assert len(streams) == 6


def test_capturing_is_bounded_and_begins_with_the_unhealthy(aws, printed, wire):
    """Ten consoles, the unhealthy first; how many were left is said."""
    instances = sorted(printed(MOST + 3))
    unhealthy = instances[-2:]
    lines = capture(aws, _FLEET, instances, unhealthy=unhealthy)
    assert lines == (f"3 more consoles of {_FLEET} were not kept",)
    streams = aws.changes.logs.describe_log_streams(logGroupName=_GROUP)["logStreams"]
    kept = {stream["logStreamName"].split("/")[1] for stream in streams}
    assert kept == {*unhealthy, *instances[: MOST - 2]}


def test_what_cannot_be_kept_is_said_and_keeps_nobody(aws, printed, wire):
    """A console is evidence: nothing waits for it."""
    known, gone = printed()[0], _ONE
    lines = capture(aws, _FLEET, [known, gone])
    assert len(lines) == 1
    assert lines[0].startswith(f"the console of {gone} was not kept: ")
    assert lines[0].isprintable()
    wire.refuse(403, "AccessDeniedException", "CreateLogStream")
    (line,) = capture(aws, _FLEET, [known])
    assert "not kept" in line


def test_capturing_again_shows_the_newest(aws, logs, printed, sent):
    """A retirement that is repeated does not show consoles twice."""
    (instance,) = printed()
    assert capture(aws, _FLEET, [instance]) == ()
    with host.running_on(_Later()):
        assert capture(aws, _FLEET, [instance]) == ()
    aws.changes.ec2.terminate_instances(InstanceIds=[instance])
    shown = harmless(read_console(aws, instance))
    (log,) = logs.read(_FLEET, tail_bytes=1 << 20)
    assert log.console == shown


class _Later(ThisHost):
    def now(self):
        return super().now() + timedelta(seconds=1)


def test_an_instance_without_nitro_has_an_older_console(aws, printed, wire):
    """Where the latest output cannot be had, what EC2 has kept of it is."""
    (instance,) = printed()
    wire.refuse(400, "UnsupportedOperation", "GetConsoleOutput")
    assert read_console(aws, instance)


def test_a_group_is_there_before_its_agents(aws, wire):
    """One call where it is there already; what goes wrong is a line, and holds nobody."""
    assert prepare(aws, _FLEET, _TAGS) == ()
    assert wire.operations == ["CreateLogGroup", "PutRetentionPolicy"]
    wire.clear()
    assert prepare(aws, _FLEET, _TAGS) == ()
    assert wire.operations == ["CreateLogGroup"]
    wire.refuse(400, "LimitExceededException", "CreateLogGroup")
    (line,) = prepare(aws, _FLEET, _TAGS)
    assert _GROUP in line
    assert line.isprintable()
    assert prepare(aws, FleetName("nothing"), _TAGS) == ()


def test_a_group_whose_maker_died_expires_all_the_same(wire):
    """Each process looks once, and gives it days where nobody has."""
    aws = Aws(_PLACE)
    aws.changes.logs.create_log_group(logGroupName=_GROUP)
    aws.changes.logs.create_log_group(logGroupName=f"{_GROUP}-other")
    wire.clear()
    for _ in range(2):
        assert prepare(aws, _FLEET, _TAGS) == ()
    asked = ["CreateLogGroup", "DescribeLogGroups", "PutRetentionPolicy"]
    assert wire.operations == [*asked, "CreateLogGroup"]
    groups = aws.changes.logs.describe_log_groups()["logGroups"]
    assert [group.get("retentionInDays") for group in groups] == [RETENTION_DAYS, None]


def test_days_that_somebody_has_chosen_stay(wire):
    """Who keeps logs for years has them for years."""
    aws = Aws(_PLACE)
    aws.changes.logs.create_log_group(logGroupName=_GROUP)
    aws.changes.logs.put_retention_policy(logGroupName=_GROUP, retentionInDays=3653)
    wire.clear()
    for _ in range(2):
        assert prepare(aws, _FLEET, _TAGS) == ()
    expected = ["CreateLogGroup", "DescribeLogGroups", "CreateLogGroup"]
    assert wire.operations == expected
    (group,) = aws.changes.logs.describe_log_groups()["logGroups"]
    assert group["retentionInDays"] == 3653


def test_what_was_lost_is_said_again(wire):
    """Whoever fails to say for how long events are kept has another try."""
    aws = Aws(_PLACE)
    wire.refuse(400, "AccessDeniedException", "PutRetentionPolicy")
    (line,) = prepare(aws, _FLEET, _TAGS)
    assert "as it should be" in line
    assert prepare(aws, _FLEET, _TAGS) == ()
    (group,) = aws.changes.logs.describe_log_groups()["logGroups"]
    assert group["retentionInDays"] == RETENTION_DAYS


def test_nobody_is_asked_for_nobody(aws, wire):
    """Capturing nothing, or of what is no fleet, is no call."""
    assert capture(aws, _FLEET, []) == ()
    assert capture(aws, FleetName("nothing"), [_ONE]) == ()
    assert wire.requests == []


def test_a_fleet_names_its_services_group():
    """Also where the service's own name has hyphens and numbers."""
    assert group_of(FleetName("shop-v2-v12-3f9a1c")) == "/immutable/shop-v2"
    assert group_of(FleetName("Shop-v1-3f9a1c")) is None
    assert LIMIT_BYTES == 65_536


def test_a_lost_answer_of_capturing_is_said(aws, printed, wire, sent):
    """It is neither repeated blindly nor raised."""
    sent(_ONE, "x")
    wire.cut("after", "PutLogEvents")
    (line,) = capture(aws, _FLEET, printed())
    assert Ambiguous.__name__ not in line
    assert "not kept" in line
