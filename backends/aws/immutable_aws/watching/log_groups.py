"""Where logs are in CloudWatch Logs, and how that place is made.

One log group for each service, ``/immutable/<service>``; in it ``<fleet>/<instance>/journal``,
which the agent on the instance writes, and ``<fleet>/<instance>/console``, kept before the
instance is terminated. Events expire; the group stays when fleets go.
"""

import re
from collections.abc import Iterable, Mapping
from weakref import WeakKeyDictionary

from immutable.errors import ImmutableError
from immutable.model import FleetName, InstanceId
from immutable.validators.evidence import excerpt
from immutable_aws.errors import said
from immutable_aws.session import Aws

PREFIX = "/immutable/"
RETENTION_DAYS = 30
"""One of the numbers that PutRetentionPolicy takes."""
CONSOLE, JOURNAL = "console", "journal"
MISSING = "ResourceNotFoundException"
_EXCERPT_LIMIT = 200
_EXPIRING: WeakKeyDictionary[Aws, set[str]] = WeakKeyDictionary()
_TAKEN = "ResourceAlreadyExistsException"
_FLEET = re.compile(r"(?P<service>[a-z][a-z0-9-]*)-v\d+-[0-9a-f]*")
_STREAM = re.compile(r"(?P<instance>i-[0-9a-f]+)/(?P<kind>console|journal)")


def group_of(fleet: FleetName) -> str | None:
    """Return the log group of a fleet's service; None: no fleet has such a name."""
    found = _FLEET.fullmatch(fleet)
    return f"{PREFIX}{found.group('service')}" if found else None


def stream_of(fleet: FleetName, instance: InstanceId, kind: str) -> str:
    """Return the name of one stream of an instance."""
    return f"{fleet}/{instance}/{kind}"


def kept(aws: Aws, group: str, fleet: FleetName) -> dict[InstanceId, frozenset[str]]:
    """Return which streams there are of a fleet, by instance."""
    found: dict[InstanceId, frozenset[str]] = {}
    for name in _names(aws, group, f"{fleet}/"):
        if match := _STREAM.fullmatch(name.removeprefix(f"{fleet}/")):
            instance = InstanceId(match.group("instance"))
            found[instance] = found.get(instance, frozenset()) | {match.group("kind")}
    return found


def ensure_group(
    aws: Aws, group: str, tags: Mapping[str, str], *, days: int = RETENTION_DAYS
) -> None:
    """Make a log group whose events expire; one that is there keeps the days it has.

    Where a group that is there keeps events for ever, whoever made it has died before
    it had said for how long: that is said now, by each process once.

    Raises:
        ImmutableError: it cannot be made, or its events do not expire.
    """
    logs = aws.changes.logs
    try:
        aws.change(
            "logs.CreateLogGroup",
            group,
            lambda: logs.create_log_group(logGroupName=group, tags=dict(tags)),
        )
    except ImmutableError as exc:
        if said(exc) != _TAKEN:
            raise
        if group in _expiring(aws) or _expires(aws, group):
            _expiring(aws).add(group)
            return
    aws.change(
        "logs.PutRetentionPolicy",
        group,
        lambda: logs.put_retention_policy(logGroupName=group, retentionInDays=days),
    )
    _expiring(aws).add(group)


def _expiring(aws: Aws) -> set[str]:
    """Return the groups whose events are known to expire."""
    return _EXPIRING.setdefault(aws, set())


def _expires(aws: Aws, group: str) -> bool:
    """Return whether a group's events expire; also where the group is shown to nobody yet.

    One without ``retentionInDays`` keeps them for ever:
    https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_LogGroup.html
    """
    pages = aws.reads.logs.get_paginator("describe_log_groups").paginate(
        logGroupNamePrefix=group
    )
    found = aws.read(
        "logs.DescribeLogGroups",
        group,
        lambda: [g for page in pages for g in page["logGroups"]],
    )
    rows = [row for row in found if row.get("logGroupName") == group]
    return not rows or "retentionInDays" in rows[0]


def prepare(aws: Aws, fleet: FleetName, tags: Mapping[str, str]) -> tuple[str, ...]:
    """Make the log group that the agents of a fleet write to; one that is there stays.

    Returns:
        A line that says what could not be done. Fleets are launched all the same.
    """
    group = group_of(fleet)
    try:
        if group is not None:
            ensure_group(aws, group, tags)
    except ImmutableError as exc:
        reason = excerpt(str(exc), limit=_EXCERPT_LIMIT)
        return (f"the log group {group} could not be made as it should be: {reason}",)
    return ()


def ensure_stream(aws: Aws, group: str, stream: str) -> None:
    """Make a stream in a log group; one that is there stays as it is.

    Raises:
        ImmutableError: there is no such group, or it cannot be made.
    """
    logs = aws.changes.logs
    try:
        aws.change(
            "logs.CreateLogStream",
            stream,
            lambda: logs.create_log_stream(logGroupName=group, logStreamName=stream),
        )
    except ImmutableError as exc:
        if said(exc) != _TAKEN:
            raise


def _names(aws: Aws, group: str, prefix: str) -> Iterable[str]:
    pages = aws.reads.logs.get_paginator("describe_log_streams").paginate(
        logGroupName=group, logStreamNamePrefix=prefix
    )
    try:
        return aws.read(
            "logs.DescribeLogStreams",
            group,
            lambda: [s["logStreamName"] for page in pages for s in page["logStreams"]],
        )
    except ImmutableError as exc:
        if said(exc) == MISSING:
            return ()
        raise
