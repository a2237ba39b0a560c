"""What simulated processes do: the public calls, and a look at what they return."""

from collections import Counter
from collections.abc import Callable
from datetime import timedelta

import attrs

import immutable
from immutable.errors import ImmutableError, InvalidInput
from immutable.model import Image, Outcome
from immutable.results import Deployment
from immutable.service import Service
from immutable.strategies import Strategy
from immutable.testing.simulation import Simulation


@attrs.frozen(kw_only=True)
class Action:
    """One public call, drawn or chosen."""

    verb: str
    """``deploy``, ``rollback``, ``scale``, ``heal``, ``recover``, ``sweep``, ``destroy``."""
    image: Image | None = None
    strategy: Strategy | None = None
    size: int = 1

    def __call__(self, service: Service) -> Deployment:
        """Make the call."""
        return _CALLS[self.verb](service, self)


@attrs.define(eq=False)
class Program:
    """Makes its calls one after the other, and notes how each has ended."""

    sim: Simulation
    service: Service
    actions: tuple[Action, ...]
    outcomes: Counter[str]
    pauses: tuple[timedelta, ...] = ()
    """How long it waits before it tries again what was refused, each time."""

    def __call__(self) -> None:
        """Make the calls."""
        for action in self.actions:
            said = self._perform(action)
            for pause in self.pauses if said.endswith(Outcome.REFUSED) else ():
                self.sim.wait(pause)
                if not self._perform(action).endswith(Outcome.REFUSED):
                    break

    def _perform(self, action: Action) -> str:
        said = perform(self.sim, self.service, action)
        self.outcomes[said] += 1
        return said


def perform(sim: Simulation, service: Service, action: Action) -> str:
    """Make one call, judge what it returns, and return it in two words.

    Raises:
        Violation: it raised what it should have returned, or says what is not so.
    """
    process = sim.scheduler.current
    book = sim.oracles.books[service.name]
    begun = book.begun[process.name]
    try:
        done = action(service)
    except InvalidInput as exc:
        return f"{action.verb} {type(exc).__name__}"
    except ImmutableError as exc:
        message = f"{action.verb} raised {type(exc).__name__}: {exc}"
        raise sim.judge.condemn("raised", message) from exc
    said = f"{process.name}: {action.verb} {done.outcome}: {done.error}"
    sim.trace.add(sim.cloud.now_us, process.name, f"{action.verb} {done.outcome}")
    if done.outcome is Outcome.REFUSED and book.begun[process.name] > begun:
        raise sim.judge.condemn("refused", f"{said}; but it has begun")
    if done.outcome is Outcome.SUPERSEDED and book.holder == process.name:
        raise sim.judge.condemn("superseded", f"{said}; but nobody else took over")
    return f"{action.verb} {done.outcome}"


def _deploy(service: Service, action: Action) -> Deployment:
    return immutable.deploy(service, action.image, strategy=action.strategy)


_CALLS: dict[str, Callable[[Service, Action], Deployment]] = {
    "deploy": _deploy,
    "rollback": lambda service, _: immutable.rollback(service),
    "scale": lambda service, action: immutable.scale(service, action.size),
    "heal": lambda service, _: immutable.heal(service),
    "recover": lambda service, _: immutable.recover(service),
    "sweep": lambda service, _: immutable.sweep(service),
    "destroy": lambda service, _: immutable.destroy(service),
}
VERBS = tuple(_CALLS)
