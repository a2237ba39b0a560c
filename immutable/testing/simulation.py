"""A cloud in memory, in virtual time, with the faults of real ones: for your own tests.

    from immutable.testing import Simulation

    sim = Simulation(seed=1, switch="compare-and-set")
    service = sim.service("shop", size=2)
    image = sim.image("app-1", boots_in="2s")
    with sim:
        done = immutable.deploy(service, image)     # milliseconds, in virtual time

The calls are the real ones; only the machine, the provider and the ledger's store are
simulated. The rules of `immutable.testing.oracles` are checked at every change, and the
first one that is broken raises a `Violation`.
"""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from datetime import timedelta
from types import TracebackType
from typing import Self

from immutable import host
from immutable.durations import duration
from immutable.errors import InvalidInput
from immutable.model import Image, InstanceId, ServiceName
from immutable.protocols import Validator
from immutable.service import Service
from immutable.strategies import BlueGreen, Strategy
from immutable.testing.backend import SimulatedBackend, make_image
from immutable.testing.chances import seeded
from immutable.testing.cloud import Cloud
from immutable.testing.faults import Faults, Hazards, NoFaults, Script, Scripts
from immutable.testing.gate import Gate
from immutable.testing.host import SimulatedHost
from immutable.testing.oracles import Oracles
from immutable.testing.provider import Provider
from immutable.testing.registers import Kind
from immutable.testing.scheduling import TURNS, Clock, Process, Scheduler, to_us
from immutable.testing.servers import Behaviour, Route
from immutable.testing.store import SimulatedStore
from immutable.testing.switches import SimulatedSwitch
from immutable.testing.trace import Trace
from immutable.testing.verdicts import ImageVerdict
from immutable.testing.violations import Judge

MAIN = "main"
_SHORT = BlueGreen(bake=timedelta(seconds=2), keep_warm=timedelta(hours=1))


class Simulation:
    """One simulated world, and the processes that deploy in it.

    Args:
        seed: decides everything that is drawn; the same seed repeats exactly.
        switch: how its switch refuses a stale writer.
        provider: what its provider is like; then ``switch`` is not looked at.
        faults: what goes wrong with which call.
        kill_at: kill the calling program at its crash point with this number.
        turns: so many turns without an end mean that something runs in a circle.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        switch: Kind = "compare-and-set",
        provider: Provider | None = None,
        faults: Faults | Iterable[Script] | None = None,
        kill_at: int | None = None,
        turns: int = TURNS,
    ) -> None:
        """Make a world in which nothing exists yet."""
        provider = provider or Provider(switch=switch)
        self.seed = seed
        self.trace = Trace()
        self.scheduler = Scheduler(
            seed, Process(name=MAIN, kill_at=kill_at), turns=turns
        )
        self.gate = Gate(self.scheduler, self.trace, seeded(seed, "gate"))
        self.cloud = Cloud(provider, self.scheduler, seeded(seed, "cloud"))
        self.store = SimulatedStore(self.gate)
        self.backend = SimulatedBackend(self.cloud, self.gate)
        self.judge = Judge(seed, self.trace, self.scheduler.fail)
        self.oracles = Oracles(self.judge, self.cloud)
        self.gate.sent = self.oracles.sent
        self.gate.stirred = self.cloud.keeper.stir
        self.cloud.watch = self.store.watch = self.oracles
        self.verdict = ImageVerdict(self.cloud)
        """Judges each release as its image was declared to be judged."""
        self.set_faults(faults)
        self.services: dict[str, Service] = {}
        """The latest of each name that `service` has made."""
        self._chance = seeded(seed, "hosts")
        self.here = self._host_of(self.scheduler.main)
        """The machine that the calling program runs on, inside ``with``."""
        self._entered = ExitStack()
        self._restarts = 0

    def __enter__(self) -> Self:
        """Let the calls that are made inside run here."""
        self._entered.enter_context(host.running_on(self.here))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Go back to the real machine.

        Raises:
            Violation: a rule was broken, and the code that broke it went on.
        """
        self._entered.close()
        if error is None:
            self.check()

    def check(self) -> None:
        """Raise what was found wrong so far, if anything."""
        if self.scheduler.failure is not None:
            raise self.scheduler.failure

    def set_faults(self, faults: Faults | Iterable[Script] | None) -> None:
        """Say what goes wrong from here on; None: nothing."""
        provider = self.cloud.provider
        self.gate.faults = _as_faults(faults)
        self.gate.staleness_us = to_us(provider.staleness)
        self.gate.late_us = to_us(provider.late)
        self.gate.ledger_late_us = to_us(provider.ledger_late)

    def set_hazards(self, hazards: Hazards | None) -> None:
        """Say what befalls spawned processes by chance from here on; None: nothing."""
        self.gate.hazards = hazards

    def service(
        self,
        name: str,
        *,
        size: int = 1,
        strategy: Strategy = _SHORT,
        validators: Iterable[Validator] | None = None,
        ready_timeout: timedelta | str = "20s",
        drain: timedelta | str = "1s",
    ) -> Service:
        """Return a service on this simulation's backend, switch and ledger.

        Args:
            name: as of any service.
            size: as of any service, and so are the rest.
            strategy: two seconds of bake, when not given.
            validators: `verdict`, when not given.
            ready_timeout: short, because time is virtual but polling is not free.
            drain: as ``ready_timeout``.
        """
        self.oracles.look_after(name)
        self.services[name] = Service(
            name,
            backend=self.backend,
            size=size,
            ports=80,
            health="/healthz",
            switch=SimulatedSwitch(self.cloud, self.gate, ServiceName(name)),
            ledger=self.store,
            validators=(self.verdict,) if validators is None else validators,
            strategy=strategy,
            ready_timeout=ready_timeout,
            drain=drain,
        )
        return self.services[name]

    def image(
        self,
        name: str,
        *,
        boots_in: timedelta | str = "1s",
        ready: bool = True,
        dies_after: timedelta | str | None = None,
        flaps_after: timedelta | str | None = None,
        flaps_for: timedelta | str = "1s",
        wrong_digest: bool = False,
        rejected: Route | None = None,
    ) -> Image:
        """Put an image into the world; the arguments are those of `Behaviour`."""
        image = make_image(self.cloud, name)
        self.cloud.behaviours[image.id] = Behaviour(
            boots_in=boots_in,
            ready=ready,
            dies_after=dies_after,
            flaps_after=flaps_after,
            flaps_for=flaps_for,
            wrong_digest=wrong_digest,
            rejected=rejected,
        )
        return image

    def spawn(
        self,
        name: str,
        work: Callable[[], object],
        *,
        after: timedelta | str = "0s",
        clock: Clock | None = None,
        kill_at: int | None = None,
    ) -> Process:
        """Let another program work beside this one, once `run` or a wait lets it.

        Args:
            name: names the process; no other may ever have had it.
            work: what it does.
            after: when it begins.
            clock: how its clock is wrong, if it is.
            kill_at: kill it at its crash point with this number; the first is 1.
        """
        if any(process.name == name for process in self.scheduler.processes):
            raise InvalidInput(f"there is a process {name} already")
        process = Process(name=name, clock=clock or Clock(), kill_at=kill_at)
        here = self._host_of(process)

        def live() -> None:
            with host.running_on(here):
                work()

        at_us = self.scheduler.now_us + to_us(duration(after))
        self.scheduler.spawn(process, live, at_us)
        return process

    def run(self) -> None:
        """Go on until every spawned process has ended.

        Raises:
            Violation: a rule was broken.
            BaseException: what a process raised.
        """
        self.scheduler.run()
        self.check()

    def wait(self, pause: timedelta | str) -> None:
        """Let virtual time pass, and the other processes work."""
        self.scheduler.wait_until(self.scheduler.now_us + to_us(duration(pause)))

    def at(self, after: timedelta | str, deed: Callable[[], None]) -> None:
        """Have something done after a while, in one instant: a death, a person's move."""
        self.scheduler.at(self.scheduler.now_us + to_us(duration(after)), deed)

    def kill(self, process: Process, *, known: bool = False) -> None:
        """Kill a process where it is.

        Args:
            process: which.
            known: others can know that it is dead, as on one host they do.
        """
        process.is_known_dead = known
        self.scheduler.kill(process)

    def pause(self, process: Process, pause: timedelta | str) -> None:
        """Stop a process for a while; it does not notice, except by its clock."""
        process.paused_until_us = self.scheduler.now_us + to_us(duration(pause))

    def restart(self, *, known: bool = False) -> None:
        """Go on as another program, after the calling one was killed.

        Args:
            known: others can know that the one before is dead.
        """
        self._restarts += 1
        self.scheduler.main.is_known_dead = known
        process = Process(name=f"{MAIN}-{self._restarts + 1}")
        self.scheduler.restart(process)
        self.here.process = process

    def points(self) -> tuple[str, ...]:
        """Return the crash points that the calling program has passed, in order."""
        return tuple(self.scheduler.main.points)

    def kill_server(self, instance: InstanceId) -> None:
        """Let a server die."""
        self.cloud.kill(instance)
        self.trace.add(self.scheduler.now_us, "world", "dies", (instance,))

    def close(self) -> None:
        """End every process that is left."""
        self.scheduler.close()

    def _host_of(self, process: Process) -> SimulatedHost:
        return SimulatedHost(self.scheduler, process, self._chance)


def _as_faults(faults: Faults | Iterable[Script] | None) -> Faults:
    if faults is None:
        return NoFaults()
    return Scripts(tuple(faults)) if isinstance(faults, Iterable) else faults
