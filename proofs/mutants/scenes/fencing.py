"""Stories of writers that wake up too late."""

from collections.abc import Callable
from datetime import timedelta

import immutable
from immutable.testing.faults import Script
from immutable.testing.provider import Provider
from immutable.testing.settling import settle
from proofs.mutants.telling import World


def blind_writer_that_outlives_its_lease() -> None:
    """Check: a process that slept between two tries moves no switch that compares nothing."""
    _sleep_between_tries()


def blind_writer_that_cannot_reach_its_ledger() -> None:
    """Check: … nor does it when it cannot even find out that it was taken over."""
    _sleep_between_tries(
        Script("refused", "ledger.append", times=None, process="sleeper")
    )


def _sleep_between_tries(*afterwards: Script) -> None:
    (tried,) = _throttled(None).lines("switch.write <throttled>")
    world = _throttled(tried.at_us, *afterwards)
    with world.sim:
        world.sim.wait("5m")
        immutable.recover(world.service)
        world.sim.run()
    settle(world.sim, world.service)


def _throttled(asleep_us: int | None, *afterwards: Script) -> World:
    """Let a warm rollback sleep for long when its shift has to be tried again."""
    world = World(Provider(switch="blind"), validators=())
    world.deploy("a")
    world.deploy("b")
    sim = world.sim
    sim.set_faults([Script("throttled", "switch.write", process="sleeper")])
    process = sim.spawn("sleeper", lambda: immutable.rollback(world.service))

    def fall_asleep() -> None:
        sim.pause(process, "10m")
        sim.set_faults(afterwards)

    if asleep_us is None:
        sim.run()
    else:
        soon = timedelta(microseconds=asleep_us + 1 - sim.cloud.now_us)
        sim.at(soon, fall_asleep)
    return world


FENCING: dict[str, Callable[[], object]] = {
    "a blind writer that outlives its lease": blind_writer_that_outlives_its_lease,
    "a blind writer that cannot reach its ledger": (
        blind_writer_that_cannot_reach_its_ledger
    ),
}
