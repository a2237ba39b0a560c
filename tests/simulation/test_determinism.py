import datetime as dt
import os
import random
import secrets
import subprocess
import sys
import threading
import time
import uuid

import pytest

import immutable
from immutable.model import Outcome
from immutable.testing import Script, Simulation
from immutable.testing.registers import KINDS
from immutable.testing.schedules import prepare
from immutable.testing.settling import settle

PROGRAM = """
import logging
logging.disable(logging.CRITICAL)
from immutable.testing.registers import KINDS
from immutable.testing.schedules import prepare
from immutable.testing.settling import settle
for seed in range(6):
    for kind in KINDS:
        sim, outcomes = prepare(seed, kind)
        try:
            sim.run()
            for service in sim.services.values():
                settle(sim, service)
        except AssertionError as exc:
            print(exc)
        sim.close()
        print(seed, kind, sim.trace.digest(), sorted(outcomes.items()))
"""


def run_in_another_process(hash_seed: str) -> str:
    """Run a few schedules in a fresh interpreter and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=os.environ | {"PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    return done.stdout


def test_the_same_seeds_give_the_same_traces_in_another_process():
    """Schedules repeat byte for byte, whatever Python's own hashing is seeded with."""
    first, second = run_in_another_process("1"), run_in_another_process("4711")
    assert first == second
    assert len(set(first.splitlines())) == 18


def trace_of(seed: int, kind: str) -> str:
    """Return the whole trace of one schedule."""
    sim, _ = prepare(seed, kind)
    try:
        sim.run()
        for service in sim.services.values():
            settle(sim, service)
    finally:
        sim.close()
    return sim.trace.text()


def test_a_seed_repeats_within_a_process():
    """Nothing that one schedule leaves behind changes the next."""
    assert trace_of(3, "slot") == trace_of(3, "slot")


def test_seeds_differ():
    """Another seed is another schedule."""
    assert len({trace_of(seed, "compare-and-set") for seed in range(4)}) == 4


class NotVirtual(BaseException):
    """The real machine was asked for something."""


def forbidden(*_args: object, **_fields: object) -> None:
    """Stand in for a function of the real machine."""
    # tenacity stamps its own statistics, which decide nothing
    if "tenacity" not in sys._getframe(1).f_globals["__name__"]:
        raise NotVirtual


class NoClock(dt.datetime):
    """A datetime that knows no present."""

    now = today = utcnow = classmethod(forbidden)


@pytest.fixture
def unplugged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take away the real machine's time, chance and threads."""
    for module, names in (
        (time, ("time", "time_ns", "monotonic", "monotonic_ns", "sleep")),
        (random, ("random", "randint", "choice", "uniform", "getrandbits")),
        (uuid, ("uuid1", "uuid4")),
        (secrets, ("token_hex", "token_bytes", "randbelow", "choice")),
        (os, ("urandom",)),
        (threading.Thread, ("start",)),
    ):
        for name in names:
            monkeypatch.setattr(module, name, forbidden)
    for name, module in list(sys.modules.items()):
        if name.startswith("immutable") and hasattr(module, "datetime"):
            monkeypatch.setattr(module, "datetime", NoClock)


def test_the_traps_of_the_next_test_bite(unplugged):
    """The real host is caught at once, so that a leak would be."""
    sim = Simulation()
    service = sim.service("shop")
    with pytest.raises(NotVirtual):
        immutable.recover(service)
    with pytest.raises(NotVirtual):
        NoClock.now()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_the_real_machine_leaks_in(unplugged, kind):
    """Deploys with faults, retries, a rollback and recovery touch no real clock or chance."""
    faults = (
        Script("throttled", "switch.write", times=2),
        Script("error_after", "fleets.launch"),
        Script("error_before", "ledger.append", skip=5),
        Script("slow", "switch.join"),
    )
    sim = Simulation(5, switch=kind, faults=faults)
    service = sim.service("shop", size=2)
    with sim:
        first = immutable.deploy(service, sim.image("app-1"))
        assert immutable.deploy(service, sim.image("app-2", ready=False)).error
        assert immutable.deploy(service, sim.image("app-2")).outcome is Outcome.LIVE
        assert immutable.rollback(service).outcome is Outcome.LIVE
        immutable.recover(service)
        immutable.status(service)
        immutable.history(service)
    assert first.outcome is Outcome.LIVE
    assert {"throttled", "error_after", "error_before", "slow"} <= set(sim.gate.struck)
