"""Members as HAProxy's servers: what it says of them, and how they are changed."""

import csv
import io
from collections.abc import Iterable

import attrs

from immutable.model import Health, HealthCheck, InstanceId, Member, Probe
from immutable_haproxy.config import Probing
from immutable_haproxy.names import from_word, to_word
from immutable_haproxy.options import as_ip, as_port
from immutable_haproxy.probing import check_words

_PASSED = {"L7OK", "L4OK"}
_SILENT = {"", "INI", "UNK", "SOCKERR"}
_MAINTENANCE = 0x01 | 0x02 | 0x04 | 0x20
_DRAIN = 0x08 | 0x10


@attrs.frozen(kw_only=True)
class Server:
    """One server of a slot, as HAProxy describes it."""

    slot: str
    name: str
    address: str
    port: int
    check_port: int
    admin: int = 0

    @property
    def is_member(self) -> bool:
        """Return whether it takes requests when up: neither leaving nor half made."""
        return self.admin == 0

    @property
    def is_leaving(self) -> bool:
        """Return whether it only finishes what it has."""
        return bool(self.admin & _DRAIN) and not self.admin & _MAINTENANCE

    @property
    def full_name(self) -> str:
        """Return how commands name it."""
        return f"{self.slot}/{self.name}"

    def to_member(self) -> Member:
        """Return it as the instance that it is."""
        instance = InstanceId(from_word(self.name))
        return Member(instance=instance, address=self.address, port=self.port)


@attrs.frozen(kw_only=True)
class Changes:
    """What makes a slot's servers the wanted ones."""

    add: tuple[Server, ...] = ()
    restore: tuple[Server, ...] = ()
    """Were leaving, and stay after all."""
    drain: tuple[Server, ...] = ()
    delete: tuple[Server, ...] = ()
    """Half made, or the same instance elsewhere: nothing to wait for."""


def wanted_servers(
    slot: str, members: Iterable[Member], health: HealthCheck, *, service_port: int
) -> tuple[Server, ...]:
    """Return the servers that members are to be.

    Where the service's own port is probed, each member is probed on the port it gives:
    behind a forwarding that is another one for each.

    Raises:
        InvalidInput: an address is not literal, a port is out of range, or a name is
            unusable.
    """
    return tuple(
        Server(
            slot=slot,
            name=to_word(member.instance),
            address=as_ip(member.address),
            port=as_port(member.port),
            check_port=member.port if health.port == service_port else health.port,
        )
        for member in members
    )


def changes(present: Iterable[Server], wanted: Iterable[Server]) -> Changes:
    """Return what to do so that exactly the wanted servers are there."""
    now = {server.name: server for server in present}
    goal = {server.name: server for server in wanted}
    same = {n for n in goal if n in now and attrs.evolve(now[n], admin=0) == goal[n]}
    usable = {n for n in same if now[n].is_member or now[n].is_leaving}
    stay_away = [server for name, server in now.items() if name not in goal]
    replaced = [now[n] for n in goal if n in now and n not in usable]
    return Changes(
        add=tuple(goal[name] for name in goal if name not in usable),
        restore=tuple(now[name] for name in goal if name in usable and now[name].admin),
        drain=tuple(s for s in stay_away if s.is_member or s.is_leaving),
        delete=(*replaced, *(s for s in stay_away if s.admin and not s.is_leaving)),
    )


def adding(server: Server, probing: Probing) -> tuple[str, ...]:
    """Return the commands that add a server which gets nothing before a probe passed.

    HAProxy takes a new server for healthy. Weight 0 keeps requests away until its
    health is set to down; from there, only passing probes bring it up.
    """
    name, words = server.full_name, check_words(server.check_port, probing)
    where = f"[{server.address}]" if ":" in server.address else server.address
    return (
        f"add server {name} {where}:{server.port} {words} weight 0",
        f"enable health {name}",
        f"enable server {name}",
        f"set server {name} health down",
        f"set server {name} weight 1",
    )


def parse_servers(answer: str) -> tuple[Server, ...]:
    """Return what ``show servers state`` lists.

    Raises:
        ValueError: the columns that we read are not there.
    """
    # A line with the format's number comes first, then the names of the columns.
    _, _, table = answer.partition("# ")
    header, *rows = table.split("\n")
    if not header:
        raise ValueError(f"not a list of servers: {answer:.80}")
    listed = [row.split() for row in rows if row]
    return tuple(
        _server(dict(zip(header.split(), row, strict=False))) for row in listed
    )


def _server(row: dict[str, str]) -> Server:
    try:
        return Server(
            slot=row["be_name"],
            name=row["srv_name"],
            address=as_ip(row["srv_addr"]),
            port=int(row["srv_port"]),
            check_port=int(row["srv_check_port"]),
            admin=int(row["srv_admin_state"]),
        )
    except KeyError as exc:
        raise ValueError(f"a list of servers without {exc}") from exc


def parse_statistics(answer: str) -> list[dict[str, str]]:
    """Return the rows of ``show stat``."""
    text = answer.removeprefix("# ")
    return [
        {key: value for key, value in row.items() if isinstance(value, str)}
        for row in csv.DictReader(io.StringIO(text))
    ]


def probe_of(row: dict[str, str]) -> Probe:
    """Return what HAProxy's latest check says of a server."""
    check = row.get("check_status", "").removeprefix("* ")
    return Probe(
        instance=InstanceId(from_word(row["svname"])),
        health=_health(row.get("status", ""), check),
        evidence=_evidence(row, check),
    )


def _health(status: str, check: str) -> Health:
    if check in _SILENT:
        return Health.UNKNOWN
    if status == "UP" and check in _PASSED:
        return Health.READY
    if status.startswith("DOWN"):
        return Health.UNREADY
    return Health.UNKNOWN


def _evidence(row: dict[str, str], check: str) -> str:
    code, text = row.get("check_code", ""), row.get("last_chk", "")
    details = [row.get("status", ""), f"{check} {code}".strip(), text]
    took = row.get("check_duration", "")
    return ", ".join(
        [part for part in details if part] + ([f"{took} ms"] if took else [])
    )
