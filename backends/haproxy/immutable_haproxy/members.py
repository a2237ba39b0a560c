"""Change a slot's servers in a running HAProxy."""

import time
from collections.abc import Iterable
from datetime import timedelta

from immutable_haproxy.config import Probing
from immutable_haproxy.errors import Refusal, Silence
from immutable_haproxy.runtime import Conversation
from immutable_haproxy.servers import Changes, Server, adding, parse_statistics

_PATIENCE = timedelta(seconds=5)
_ADDED = "New server registered"
_GONE = ("Server deleted", "No such server")
_SERVERS_ONLY = 4
_BACKEND_ONLY = 2


def apply(talk: Conversation, plan: Changes, probing: Probing) -> None:
    """Carry out changes, except that what is drained stays until `remove`.

    Raises:
        Refusal, Silence: some of it may be done; it is repeat-safe.
    """
    remove(talk, plan.delete)
    for server in plan.add:
        talk.tell(*adding(server, probing), saying=_ADDED)
    talk.tell(*(f"set server {s.full_name} state ready" for s in plan.restore))
    talk.tell(*(f"set server {s.full_name} state drain" for s in plan.drain))


def remove(talk: Conversation, servers: Iterable[Server]) -> None:
    """Delete servers, ending what they still serve; those already gone are no error.

    Raises:
        Refusal: HAProxy still refuses after some seconds.
        Silence: some may be deleted.
    """
    deadline = time.monotonic() + _PATIENCE.total_seconds()
    for server in servers:
        name = server.full_name
        talk.ask(f"disable server {name}", f"shutdown sessions server {name}")
        while True:
            (answer,) = talk.ask(f"del server {name}")
            if answer.startswith(_GONE):
                break
            if time.monotonic() > deadline:
                raise Refusal(f"del server {name}", answer)
            # Sessions end in their own time after they were told to.
            time.sleep(0.005)


def statistics(talk: Conversation, slot: str) -> list[dict[str, str]]:
    """Return HAProxy's row for each server of a slot."""
    return parse_statistics(talk.ask(f"show stat {slot} {_SERVERS_ONLY} -1")[0])


def count_sessions(talk: Conversation, slot: str) -> int:
    """Return how many requests or connections a slot has, those that queue included.

    Raises:
        Silence: HAProxy does not say.
    """
    rows = parse_statistics(talk.ask(f"show stat {slot} {_BACKEND_ONLY} -1")[0])
    try:
        return int(rows[0]["scur"])
    except (IndexError, KeyError, ValueError) as exc:
        raise Silence(f"no count of sessions for {slot}") from exc


def wait_until_idle(
    talk: Conversation, servers: Iterable[Server], drain: timedelta
) -> None:
    """Return when none of the servers has a session, or after ``drain``."""
    waiting = tuple(servers)
    deadline = time.monotonic() + drain.total_seconds()
    pause = 0.002
    while busy_among(talk, waiting):
        left = deadline - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(pause, left))
        pause = min(pause * 2, 0.1)


def busy_among(talk: Conversation, servers: Iterable[Server]) -> tuple[Server, ...]:
    """Return those of the servers that have a session."""
    asked = tuple(servers)
    busy = {
        (slot, row["svname"])
        for slot in {server.slot for server in asked}
        for row in statistics(talk, slot)
        if row["scur"] != "0"
    }
    return tuple(server for server in asked if (server.slot, server.name) in busy)
