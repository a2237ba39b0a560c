"""Whatever is asked, whatever fails, whoever dies: the promise holds in a small world.

The world itself asserts at every switch write that only whole, ready fleets gain weight,
and at every destruction that nothing attached or routed is destroyed.
"""

import contextlib
from datetime import timedelta

import attrs
import hypothesis.strategies as st
from fakes import FakeBackend, FakeSwitch, MemoryStore, World
from hypothesis import HealthCheck, given, settings

from immutable import errors
from immutable.deploying import operations
from immutable.deploying.engine import Engine
from immutable.deploying.interrupting import Asked
from immutable.deploying.opening import with_validators
from immutable.ledger.journal import Journal
from immutable.model import Image, InstanceState, Outcome
from immutable.service import Options, Service
from immutable.strategies import BlueGreen, Canary

LEASE = timedelta(minutes=11)
CALLS = (
    "launch",
    "write",
    "attach",
    "join",
    "detach",
    "retire",
    "health",
    "observe",
    "read",
)
FAULTS = (errors.Unavailable, errors.Ambiguous, errors.NotEnough, errors.Conflict)


class Crash(BaseException):
    """The deployer dies here."""


class Life:
    """A service, its world, and a deployer that can be killed."""

    def __init__(self) -> None:
        self.world = World()
        self.store = MemoryStore()
        self.names = 0
        self.live_images: list[str] = []
        strategy = BlueGreen(bake="2s", keep_warm="1h")
        self.service = Service(
            "shop",
            backend=FakeBackend(self.world),
            switch=FakeSwitch(self.world),
            size=2,
            ports=80,
            strategy=strategy,
            ready_timeout="20s",
        )

    def engine(self) -> Engine:
        return Engine(
            service=self.service,
            backend=self.service.backend,
            switch=self.service.switch,
            journal=Journal(self.store, self.service.name, self.world.clock),
            host=self.world.clock,
            ledger=None,
            validators=(),
            judge=None,
            tell=lambda _: None,
            stop=Asked(None),
        )

    def act(self, action: tuple[str, object]) -> None:
        """Do one thing; a crash is survived by the next one."""
        kind, detail = action
        with contextlib.suppress(Crash, errors.UnknownRelease, errors.Refused):
            getattr(self, kind)(detail)
        self.store.before_append = lambda *_: None
        self.store.after_append = lambda *_: None
        self.world.faults.clear()
        self.world.late_faults.clear()

    def deploy(self, how: tuple[bool, bool, bool]) -> None:
        healthy, accepted, canary = how
        self.names += 1
        image = self.world.image(f"image-{self.names}")
        if not healthy:
            self.world.sick_images.add(image.id)
        strategy = (
            Canary(steps=[10], hold="2s", bake="2s")
            if canary
            else self.service.strategy
        )
        validators = (lambda target: accepted or not target.live,)
        self._deploy(image, strategy, validators)

    def _deploy(
        self, image: Image, strategy: object, validators: tuple[object, ...]
    ) -> None:
        options = Options(strategy=strategy, validators=validators)
        engine = with_validators(self.engine(), validators, strategy)
        done = operations.deploy(engine, image, options)
        if done.outcome is Outcome.LIVE:
            self.live_images.append(image.id)
            assert self.serving() == {image.id}

    def rollback(self, _: object) -> None:
        options = Options(strategy=self.service.strategy, validators=())
        operations.rollback(self.engine(), None, options)

    def scale(self, size: int) -> None:
        operations.scale(self.engine(), size, timeout=None)

    def heal(self, _: object) -> None:
        operations.heal(self.engine(), timeout=None)

    def kill_one(self, number: int) -> None:
        alive = [i for f in self.world.fleets.values() for i in f.instances]
        if alive:
            self.world.kill(alive[number % len(alive)].id)

    def pass_time(self, minutes: int) -> None:
        self.world.clock.time += timedelta(minutes=minutes)

    def with_fault(self, plan: tuple[str, int, bool, tuple[bool, bool, bool]]) -> None:
        call, fault, late, how = plan
        where = self.world.late_faults if late else self.world.faults
        where[call] = [FAULTS[fault]("struck")]
        self.deploy(how)

    def with_crash(self, plan: tuple[int, bool, tuple[bool, bool, bool]]) -> None:
        appends, after, how = plan
        count = iter(range(10_000))

        def maybe(_stream: str, _sequence: int) -> None:
            if next(count) == appends:
                raise Crash

        if after:
            self.store.after_append = maybe
        else:
            self.store.before_append = maybe
        self.deploy(how)

    def serving(self) -> set[str]:
        return {
            self.world.specs[fleet].image.id for fleet, _ in self.world.routing.weights
        }

    def quiet(self) -> None:
        """Let faults stop and time pass, and check what is left."""
        self.world.clock.time += LEASE
        operations.recover(self.engine())
        operations.heal(self.engine(), timeout=None)
        self.world.clock.time += LEASE
        operations.recover(self.engine())
        operations.sweep(self.engine())
        self.check()

    def check(self) -> None:
        engine = self.engine()
        state = engine.journal.load()
        assert state.attempt is None
        assert len(self.world.routing.weights) <= 1, "one whole release serves"
        assert {f.name for f in state.fleets} >= self.world.inventory(), "nothing leaks"
        if state.live is None:
            return
        assert dict(self.world.routing.weights) == {state.live.name: 100}
        view = self.world.fleets[state.live.name]
        alive = [i for i in view.instances if i.state is not InstanceState.GONE]
        digests = {i.digest for i in alive}
        assert digests == {state.live.release.digest[:16]}


HOW = st.tuples(st.booleans(), st.booleans(), st.booleans())
ACTIONS = st.one_of(
    st.tuples(st.just("deploy"), HOW),
    st.tuples(st.just("deploy"), st.just((True, True, False))),
    st.tuples(st.just("rollback"), st.none()),
    st.tuples(st.just("scale"), st.integers(1, 4)),
    st.tuples(st.just("heal"), st.none()),
    st.tuples(st.just("kill_one"), st.integers(0, 9)),
    st.tuples(st.just("pass_time"), st.integers(1, 90)),
    st.tuples(
        st.just("with_fault"),
        st.tuples(st.sampled_from(CALLS), st.integers(0, 3), st.booleans(), HOW),
    ),
    st.tuples(st.just("with_crash"), st.tuples(st.integers(0, 30), st.booleans(), HOW)),
)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(ACTIONS, min_size=1, max_size=8))
def test_any_history_ends_wholly_on_one_release(actions):
    """After any history, once it is quiet, one whole release serves and nothing leaks."""
    life = Life()
    for action in actions:
        life.act(action)
    life.quiet()


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 40), st.booleans(), HOW)
def test_a_deploy_that_dies_anywhere_is_finished_by_recovery(appends, after, how):
    """Killed at any write, recovery ends on the old or the new; twice is once."""
    life = Life()
    life.act(("deploy", (True, True, False)))
    life.act(("with_crash", (appends, after, how)))
    life.world.clock.time += LEASE
    operations.recover(life.engine())
    first = attrs.evolve(life.engine().journal.load())
    operations.recover(life.engine())
    assert life.engine().journal.load() == first
    life.check()
