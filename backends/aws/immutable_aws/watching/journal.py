"""The end of a stream of CloudWatch Logs, as lines.

The agent sends an entry of systemd's journal as JSON, with the entry's fields as ``body``
(opentelemetry's awscloudwatchlogsexporter), and a line of a file as it is.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from immutable_aws.session import Aws
from immutable_aws.watching.readable import ending, harmless

if TYPE_CHECKING:
    from mypy_boto3_logs.type_defs import (
        GetLogEventsResponseTypeDef,
        OutputLogEventTypeDef,
    )

_PAGES = 50
_MOST_EVENTS = 10_000
_SHORT_LINE_BYTES = 32


def newest(aws: Aws, group: str, stream: str) -> str:
    """Return the last event of a stream, or nothing."""
    for events in _backwards(aws, group, stream, limit=1):
        if events:
            return harmless(events[-1].get("message", ""))
    return ""


def tail(aws: Aws, group: str, stream: str, limit_bytes: int) -> str:
    """Return the end of a stream, one line for each event: at most so many bytes.

    A call for each megabyte, or ten thousand lines.
    """
    text = ""
    limit = min(_MOST_EVENTS, max(limit_bytes // _SHORT_LINE_BYTES, 1))
    for events in _backwards(aws, group, stream, limit=limit):
        lines = (line_of(e.get("timestamp", 0), e.get("message", "")) for e in events)
        text = "".join(f"{line}\n" for line in lines) + text
        if len(text.encode()) >= limit_bytes:
            break
    return ending(text, limit_bytes)


def _backwards(
    aws: Aws, group: str, stream: str, *, limit: int
) -> "Iterator[list[OutputLogEventTypeDef]]":
    """Yield the pages of a stream, the newest first, each in its own order.

    The end is reached when a token comes back unchanged; pages may be empty before that:
    https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_GetLogEvents.html
    """
    token: str | None = None
    for _ in range(_PAGES):
        page = _page(aws, group, stream, token=token, limit=limit)
        yield page["events"]
        if page["nextBackwardToken"] == token:
            return
        token = page["nextBackwardToken"]


def _page(
    aws: Aws, group: str, stream: str, *, token: str | None, limit: int
) -> "GetLogEventsResponseTypeDef":
    logs = aws.reads.logs

    def call() -> "GetLogEventsResponseTypeDef":
        if token is None:
            return logs.get_log_events(
                logGroupName=group,
                logStreamName=stream,
                limit=limit,
                startFromHead=False,
            )
        return logs.get_log_events(
            logGroupName=group,
            logStreamName=stream,
            limit=limit,
            startFromHead=False,
            nextToken=token,
        )

    return aws.read("logs.GetLogEvents", stream, call)


def line_of(timestamp_ms: int, message: str) -> str:
    """Return one event as a line: an entry of the journal as ``journalctl`` shows it."""
    fields = _entry(message)
    if fields is None:
        return harmless(message.rstrip("\r\n"))
    at = datetime.fromtimestamp(timestamp_ms / 1000, UTC).isoformat(timespec="seconds")
    who = fields.get("SYSLOG_IDENTIFIER") or fields.get("_SYSTEMD_UNIT") or "?"
    number = f"[{fields['_PID']}]" if "_PID" in fields else ""
    return harmless(f"{at} {who}{number}: {_text(fields['MESSAGE'])}")


def _entry(message: str) -> dict[str, object] | None:
    try:
        found = json.loads(message)
    except (ValueError, RecursionError):
        return None
    body = found.get("body", found) if isinstance(found, dict) else None
    return body if isinstance(body, dict) and "MESSAGE" in body else None


def _text(value: object) -> str:
    """Return a message; journald gives one that is no text as a list of bytes."""
    if isinstance(value, list):
        data = bytes(b for b in value if isinstance(b, int) and b in range(256))
        return data.decode("utf-8", errors="replace")
    return str(value)
