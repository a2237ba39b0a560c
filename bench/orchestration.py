"""What a deployment costs its deployer, by the size of the fleet: CPU, reads and memory.

On ``memory://``, so that nothing is waited for: the CPU time is the engine's and that of
the simulated cloud. The fleet boots for a second and is watched for ten, as by default.
"""

import time
import tracemalloc
from collections import Counter

import immutable
from bench.figures import Figure, Target, alone, compared, counted
from bench.sampling import take_turns
from bench.settings import Settings
from immutable.testing import forget, world
from immutable.testing.faults import READINGS

SMALL, LARGE, LARGEST = 10, 1000, 10_000
ADDRESS = "memory://bench"
_MIB = 1 << 20
_S_PER_INSTANCE = 0.2 / 1000
_LINEAR = Target(limit=1.25, on="ratio")


def measure(settings: Settings) -> tuple[Figure, ...]:
    """Return the costs of a first deployment at three sizes."""
    deploy_to(SMALL)
    small, large, largest = take_turns(
        settings.turns(5),
        lambda: cpu_s(SMALL),
        lambda: cpu_s(LARGE),
        lambda: cpu_s(LARGEST),
    )
    aim = Target(limit=LARGE * _S_PER_INSTANCE)
    return (
        alone(f"orchestration.cpu_{SMALL}", "s", small),
        alone(f"orchestration.cpu_{LARGE}", "s", large, target=aim),
        compared(
            f"orchestration.cpu_{LARGEST}",
            "s",
            largest,
            [10 * seconds for seconds in large],
            beside=f"ten times {LARGE}",
            target=_LINEAR,
        ),
        *_reads(),
        *(_memory(size) for size in (SMALL, LARGE, LARGEST)),
    )


def deploy_to(size: int) -> Counter[str]:
    """Deploy to a fresh world; return the calls that this took."""
    forget(ADDRESS)
    shop = immutable.Service("shop", backend=ADDRESS, size=size, ports=8080)
    immutable.deploy(shop, immutable.Recipe.base("debian:12")).raise_for_outcome()
    return world(ADDRESS).calls


def cpu_s(size: int) -> float:
    """Return the CPU time of a deployment, of all threads."""
    began = time.process_time()
    deploy_to(size)
    return time.process_time() - began


def reads(size: int) -> int:
    """Return how often the provider and the switch are read, the ledger left out."""
    calls = deploy_to(size)
    return sum(calls[name] for name in READINGS if not name.startswith("ledger."))


def _reads() -> tuple[Figure, ...]:
    few = reads(SMALL)
    same = Target(limit=few, required=True)
    return (
        counted(f"orchestration.reads_{SMALL}", few),
        counted(f"orchestration.reads_{LARGE}", reads(LARGE), target=same),
        counted(f"orchestration.reads_{LARGEST}", reads(LARGEST), target=same),
    )


def _memory(size: int) -> Figure:
    """Return the most memory that Python's objects took at once, what was there apart."""
    forget(ADDRESS)
    tracemalloc.start()
    try:
        deploy_to(size)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return Figure(name=f"orchestration.peak_{size}_mib", unit="mib", value=peak / _MIB)
