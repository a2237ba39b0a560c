"""Cases of `immutable.protocols.Logs`: what instances said, before and after."""

from immutable.model import FleetName, FleetSpec, InstanceLog
from immutable.testing.conformance.case import Part, Reach
from immutable.testing.conformance.suite import case, declares, lacks, with_groups
from immutable.testing.conformance.trial import Trial, ids_of

_PLENTY_BYTES = 65_536
_LITTLE_BYTES = 4


@case(
    Part.LOGS,
    "a fleet that nobody knows has no logs",
    "Logs.read: empty for a fleet that nobody knows",
    fit=with_groups,
)
def knows_nothing(t: Trial) -> None:
    """Read the logs of a fleet that never was."""
    fleet = FleetName(f"{t.service}-v1-ffffff")
    seen = t.backend.logs.read(fleet, tail_bytes=_PLENTY_BYTES)
    t.expect(seen == (), "nothing", seen)


@case(
    Part.LOGS,
    "each instance's log is read, in order, and cut",
    "Logs.read: the end of each instance's console and journal, in order of id",
    reach=Reach.READY,
    fit=declares("backend", "keeps_logs"),
)
def reads(t: Trial) -> None:
    """Read the logs of two instances, and then only the last bytes."""
    spec = _booted(t, 2)
    logs = _complete(t, spec)
    ids = [log.instance for log in logs]
    view = t.observed(spec.name, lambda _: True, "the fleet")
    t.expect(ids == sorted(ids), "order of id", ids)
    t.expect(set(ids) == ids_of(view), "a log of each instance", ids)
    t.expect(all(log.fleet == spec.name for log in logs), "logs of this fleet", logs)
    for log in t.backend.logs.read(spec.name, tail_bytes=_LITTLE_BYTES):
        for text in (log.console, log.journal):
            size = len(text.encode())
            t.expect(size <= _LITTLE_BYTES, f"at most {_LITTLE_BYTES} bytes", text)


@case(
    Part.LOGS,
    "logs stay when the fleet is retired",
    "Fleets.retire: destroy all that belongs to it, except its logs",
    reach=Reach.READY,
    fit=declares("backend", "keeps_logs"),
)
def outlives(t: Trial) -> None:
    """Read the log before and after the fleet is retired."""
    spec = _booted(t, 1)
    before = {log.instance for log in _complete(t, spec)}
    t.retire(spec.name)
    t.seen(
        lambda: t.backend.logs.read(spec.name, tail_bytes=_PLENTY_BYTES),
        lambda logs: (
            {log.instance for log in logs} == before
            and any(log.console or log.journal for log in logs)
        ),
        f"the logs of {sorted(before)}",
    )


@case(
    Part.LOGS,
    "logs that are not kept are empty",
    "Logs.read: empty for dead instances where keeps_logs is not declared",
    reach=Reach.OBJECTS,
    fit=lacks("backend", "keeps_logs"),
)
def forgets(t: Trial) -> None:
    """Read the logs of a retired fleet."""
    spec = t.launch(t.spec(1))
    t.observed(spec.name, lambda v: bool(v.instances), "an instance")
    t.retire(spec.name)
    t.seen(
        lambda: t.backend.logs.read(spec.name, tail_bytes=_PLENTY_BYTES),
        lambda logs: logs == (),
        "nothing",
    )


def _booted(t: Trial, size: int) -> FleetSpec:
    spec = t.spec(size, image=t.good)
    t.bring_in(spec)
    t.ready(spec.name, spec.size)
    return spec


def _complete(t: Trial, spec: FleetSpec) -> tuple[InstanceLog, ...]:
    return t.eventually(
        lambda: t.backend.logs.read(spec.name, tail_bytes=_PLENTY_BYTES),
        lambda logs: sum(bool(log.console or log.journal) for log in logs) == spec.size,
        f"the logs of {spec.size} instances",
    )
