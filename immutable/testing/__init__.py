"""What backend authors and users test with.

`Simulation` is a cloud in memory and in virtual time, in which the real public calls run:

    from immutable.testing import Simulation

    sim = Simulation(seed=1)
    service = sim.service("shop", size=2)
    with sim:
        done = immutable.deploy(service, sim.image("app-1", boots_in="2s"))
    assert done.is_live

Things go wrong by script (`Script`), by chance (`explore`), or by death at any point
(``kill_at``). `settle` lets all come to rest; whatever breaks a rule is a `Violation`.

`world` gives access to a world of ``memory://``, the backend for trying things out.

`immutable.testing.linearizability` judges recorded histories of a switch.

Simulations need the extra ``testing``: ``pip install "immutable-deploy[testing]"``.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from immutable.testing.faults import Fault, Hazards, Script
    from immutable.testing.memory import World, forget, world
    from immutable.testing.people import route
    from immutable.testing.provider import Provider
    from immutable.testing.schedules import explore, run_schedule
    from immutable.testing.scheduling import Clock, Killed
    from immutable.testing.servers import Behaviour
    from immutable.testing.settling import settle
    from immutable.testing.simulation import Simulation
    from immutable.testing.violations import Violation

_HOMES = {
    "Behaviour": "servers",
    "Clock": "scheduling",
    "Fault": "faults",
    "Hazards": "faults",
    "Killed": "scheduling",
    "Provider": "provider",
    "Script": "faults",
    "Simulation": "simulation",
    "Violation": "violations",
    "World": "memory",
    "explore": "schedules",
    "forget": "memory",
    "route": "people",
    "run_schedule": "schedules",
    "settle": "settling",
    "world": "memory",
}
__all__ = [
    "Behaviour",
    "Clock",
    "Fault",
    "Hazards",
    "Killed",
    "Provider",
    "Script",
    "Simulation",
    "Violation",
    "World",
    "explore",
    "forget",
    "route",
    "run_schedule",
    "settle",
    "world",
]


def __getattr__(name: str) -> object:
    """Load a name when it is first used: not everything here needs greenlets."""
    if name not in _HOMES:
        raise AttributeError(f"module 'immutable.testing' has no attribute {name!r}")
    value: object = getattr(import_module(f"immutable.testing.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, loaded or not."""
    return sorted(__all__)
