"""What instances printed at boot, read while they live and kept before they are terminated.

EC2 keeps the console for a short while after termination and promises nothing, so whoever
terminates calls `capture` first. That is evidence, not a condition: what cannot be kept
is said, and the instance goes all the same.
"""

import threading
from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from functools import partial

from immutable import host
from immutable.errors import ImmutableError
from immutable.model import FleetName, InstanceId
from immutable.validators.evidence import excerpt
from immutable.workers import Raised, Returned
from immutable_aws.errors import said
from immutable_aws.session import Aws
from immutable_aws.watching.log_groups import (
    CONSOLE,
    MISSING,
    ensure_group,
    ensure_stream,
    group_of,
    stream_of,
)
from immutable_aws.watching.readable import ending

MOST = 10
"""So many consoles are kept of those that are terminated together."""
LIMIT_BYTES = 64 << 10
"""EC2 shows no more: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-console.html"""
_WITHIN = timedelta(seconds=30)
_EXCERPT_LIMIT = 200
# Only instances on Nitro have it: GetConsoleOutput, "Latest".
_NO_LATEST = frozenset({"InvalidParameterCombination", "UnsupportedOperation"})


def read_console(aws: Aws, instance: InstanceId) -> str:
    """Return the end of what an instance printed until now, as it is.

    Raises:
        ImmutableError: EC2 does not know it (any more), or does not answer.
    """
    try:
        text = _read(aws, instance, latest=True)
    except ImmutableError as exc:
        if said(exc) not in _NO_LATEST:
            raise
        text = _read(aws, instance, latest=False)
    return ending(text, LIMIT_BYTES)


def capture(
    aws: Aws,
    fleet: FleetName,
    instances: Iterable[InstanceId],
    *,
    unhealthy: Collection[InstanceId] = (),
    tags: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """Keep the consoles of instances that are about to be terminated.

    At most ten, within half a minute, three calls each. Again: what was kept before stays,
    and the newest is what `AwsLogs` shows.

    Args:
        aws: where they are.
        fleet: whose they are.
        instances: those that go.
        unhealthy: their consoles are kept first.
        tags: of the log group, where it has to be made.

    Returns:
        A line for each thing that could not be kept.
    """
    group = group_of(fleet)
    ordered = sorted(set(instances), key=lambda i: (i not in unhealthy, i))
    if group is None or not ordered:
        return ()
    keeper = _Keeper(aws, group, fleet, tags or {})
    chosen = ordered[:MOST]
    answers = host.current().run(
        [partial(keeper.keep, instance) for instance in chosen], within=_WITHIN
    )
    lines = [
        f"the console of {instance} was not kept: {_reason(answer)}"
        for instance, answer in zip(chosen, answers, strict=True)
        if not isinstance(answer, Returned)
    ]
    if left := len(ordered) - len(chosen):
        lines.append(f"{left} more consoles of {fleet} were not kept")
    return tuple(lines)


class _Keeper:
    """Puts consoles into one log group, which it makes where it is missing."""

    def __init__(
        self, aws: Aws, group: str, fleet: FleetName, tags: Mapping[str, str]
    ) -> None:
        self._aws = aws
        self._group = group
        self._fleet = fleet
        self._tags = tags
        self._making = threading.Lock()

    def keep(self, instance: InstanceId) -> None:
        """Keep one console. It is one event, so that its lines stay in order."""
        text = read_console(self._aws, instance)
        if not text.strip():
            return
        stream = stream_of(self._fleet, instance, CONSOLE)
        self._ensure(stream)
        at_ms = int(host.current().now().timestamp() * 1000)
        logs = self._aws.changes.logs
        self._aws.change(
            "logs.PutLogEvents",
            stream,
            lambda: logs.put_log_events(
                logGroupName=self._group,
                logStreamName=stream,
                logEvents=[{"timestamp": at_ms, "message": text}],
            ),
        )

    def _ensure(self, stream: str) -> None:
        try:
            ensure_stream(self._aws, self._group, stream)
        except ImmutableError as exc:
            if said(exc) != MISSING:
                raise
            with self._making:
                ensure_group(self._aws, self._group, self._tags)
            ensure_stream(self._aws, self._group, stream)


def _read(aws: Aws, instance: InstanceId, *, latest: bool) -> str:
    answer = aws.read(
        "ec2.GetConsoleOutput",
        instance,
        lambda: aws.reads.ec2.get_console_output(InstanceId=instance, Latest=latest),
    )
    return answer.get("Output", "")


def _reason(answer: Raised | None) -> str:
    if answer is None:
        return "AWS did not answer in time"
    return excerpt(str(answer.error), limit=_EXCERPT_LIMIT)
