"""Blue/green of three instances, on one emulated AWS, by three programs in one run.

Calls are counted at the server, those of waiting included. Ours and the floor look as
often; Ansible's modules look when they like: every ten seconds, mostly.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs

from bench.aws.job import Cost, Job
from bench.aws.running import BOOT_S, SCALE, Ground, playbook, program
from bench.figures import CannotMeasure, Figure, Target, Unmeasured
from bench.report import Row, say
from bench.settings import Settings

SIZE = 3
MANY = 300
_HALF = Target(limit=0.5, on="ratio")
_NEAR = Target(limit=1.3, on="ratio")
_SAME = Target(limit=1.0, on="ratio")
_CPU = Target(limit=2.0)
_THOUSAND = 1000
_OURS, _FLOOR = "bench.aws.ours", "bench.aws.floor"
_ANSIBLE, _BARE = "Ansible's playbook", "bare boto3"
_LOOKS = frozenset(
    {"autoscaling:DescribeAutoScalingGroups", "elbv2:DescribeTargetHealth"}
)
_PAGED = _LOOKS | {
    "autoscaling:DescribeScalingActivities",
    "ec2:DescribeInstances",
    "elbv2:DescribeRules",
}
"""Of these there are more with more instances: for pages, or for longer waiting, once for why
it takes so long."""


def measure(settings: Settings) -> tuple[Row, ...]:
    """Return calls, wall time and CPU of each, and how ours grow with the fleet."""
    del settings
    try:
        from emulators import aws
    except ImportError as exc:
        raise CannotMeasure(f"the emulator needs {exc.name}") from exc
    with (
        aws.start(aws.Settings(boot_s=BOOT_S, scale=SCALE)) as emulator,
        tempfile.TemporaryDirectory(prefix="immutable-bench-") as folder,
    ):
        ground = Ground(emulator=emulator, folder=Path(folder))
        return (*_contest(ground), *_growth(ground))


def _contest(ground: Ground) -> Iterator[Row]:
    floor = _tried("floor", lambda: _floor(ground))
    ansible = _tried("ansible", lambda: _playbook(ground))
    ours = _tried("ours", lambda: _ours(ground, SIZE))
    for name, cost in (("ours", ours), ("ansible", ansible), ("floor", floor)):
        if isinstance(cost, Cost):
            _show(name, cost)
    missing = [row for row in (ours, ansible, floor) if isinstance(row, Unmeasured)]
    yield from missing
    if not isinstance(ours, Cost):
        return
    for peer, theirs, target in ((_ANSIBLE, ansible, _HALF), (_BARE, floor, _NEAR)):
        if isinstance(theirs, Cost):
            yield from _beside(ours, theirs, peer, target)
    yield Figure(
        name="aws.calls_of_checks_and_evidence_count",
        unit="count",
        value=sum(ours.beside.values()),
    )


def _beside(ours: Cost, theirs: Cost, peer: str, target: Target) -> Iterator[Figure]:
    calls = Figure(
        name="aws.calls_count",
        unit="count",
        value=ours.calls,
        beside=peer,
        beside_value=theirs.calls,
        ratio=ours.calls / theirs.calls,
        target=target,
    )
    yield calls
    for name, mine, other in (
        ("aws.wall_s", ours.wall_s, theirs.wall_s),
        ("aws.cpu_s", ours.cpu_s, theirs.cpu_s),
    ):
        yield Figure(
            name=name,
            unit="s",
            value=mine,
            beside=peer,
            beside_value=other,
            ratio=mine / other,
        )


def _growth(ground: Ground) -> Iterator[Row]:
    """Yield calls of a large fleet beside a small one's, and the CPU of a larger one."""
    few = _tried("small", lambda: _ours(ground, SIZE))
    many = _tried("large", lambda: _ours(ground, MANY))
    least = _tried("smallest", lambda: _first(ground, SIZE))
    most = _tried("largest", lambda: _first(ground, _THOUSAND))
    tried = (few, many, least, most)
    yield from (row for row in tried if isinstance(row, Unmeasured))
    if isinstance(few, Cost) and isinstance(many, Cost):
        small, large = (_fixed(cost) for cost in (few, many))
        _show(f"ours of {MANY}", many)
        yield Figure(
            name=f"aws.calls_of_{MANY}_without_looks_and_pages_count",
            unit="count",
            value=large,
            beside=f"of {SIZE}",
            beside_value=small,
            ratio=large / small,
            target=_SAME,
        )
    if isinstance(most, Cost) and isinstance(least, Cost):
        yield from _size_of(most, least)


def _size_of(most: Cost, least: Cost) -> Iterator[Figure]:
    """Yield the CPU of a whole first deployment, and what of it is for the fleet's size.

    The rest is Python, and the SDK with its models: as much for a fleet of any size.
    """
    yield Figure(
        name=f"aws.cpu_of_{_THOUSAND}_s",
        unit="s",
        value=most.cpu_s,
        beside=f"of {SIZE}",
        beside_value=least.cpu_s,
        ratio=most.cpu_s / least.cpu_s,
    )
    yield Figure(
        name=f"aws.cpu_of_{_THOUSAND}_less_of_{SIZE}_s",
        unit="s",
        value=most.cpu_s - least.cpu_s,
        target=_CPU,
    )


def _fixed(cost: Cost) -> int:
    return sum(count for name, count in cost.counts.items() if name not in _PAGED)


def _floor(ground: Ground) -> Cost:
    with ground.account() as account:
        first = ground.job(account, size=SIZE)
        ground.run(program(_FLOOR, first))
        return ground.measured(program(_FLOOR, ground.second(account, first)))


def _playbook(ground: Ground) -> Cost:
    with ground.account() as account:
        first = ground.job(account, size=SIZE)
        account.listener_at(1)
        command = playbook(ground.second(account, first), account)
        ground.run(program(_FLOOR, first))
        return ground.measured(command)


def _ours(ground: Ground, size: int) -> Cost:
    with ground.account() as account:
        first = ground.job(account, size=size)
        ground.run(program(_OURS, first))
        job = ground.second(account, first)
        return ground.measured(program(_OURS, job), checks=True)


def _first(ground: Ground, size: int) -> Cost:
    with ground.account() as account:
        job: Job = attrs.evolve(ground.job(account, size=SIZE), size=size)
        return ground.measured(program(_OURS, job), checks=True)


def _tried(name: str, run: Callable[[], Cost]) -> Cost | Unmeasured:
    say(f"  {name} …")
    try:
        return run()
    except CannotMeasure as exc:
        return Unmeasured(name=f"aws.{name}", why=str(exc))


def _show(name: str, cost: Cost) -> None:
    say(f"{name}: {cost.calls} calls, {cost.wall_s:.1f} s, CPU {cost.cpu_s:.1f} s")
    for title, counts in (("", cost.counts), ("  (checks, evidence)", cost.beside)):
        for operation, count in sorted(counts.items(), key=lambda item: -item[1]):
            say(f"  {count:4d} {operation}{title}")
