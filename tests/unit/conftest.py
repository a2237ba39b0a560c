"""A service in a small world, driven through the operations with the world's clock."""

from datetime import timedelta

import attrs
import pytest
from fakes import FakeBackend, FakeSwitch, MemoryStore, World

from immutable.deploying import operations
from immutable.deploying.engine import Engine
from immutable.deploying.interrupting import Asked
from immutable.deploying.opening import with_validators
from immutable.events import Event
from immutable.ledger.journal import Journal
from immutable.model import Image
from immutable.results import Deployment
from immutable.service import Options, Service
from immutable.strategies import BlueGreen


@attrs.define
class Stage:
    """What a test plays on."""

    world: World
    store: MemoryStore
    service: Service
    events: list[Event] = attrs.field(factory=list)
    asked: Asked = attrs.field(factory=lambda: Asked(None))

    def engine(self) -> Engine:
        """Open the parts anew, as another process would."""
        return Engine(
            service=self.service,
            backend=self.service.backend,
            switch=self.service.switch,
            journal=Journal(self.store, self.service.name, self.world.clock),
            host=self.world.clock,
            ledger=None,
            validators=self.service.validators,
            judge=self.service.strategy.judge,
            tell=self.events.append,
            stop=self.asked,
        )

    def options(self, **given: object) -> Options:
        """Return the options of a call."""
        settings = {
            "strategy": self.service.strategy,
            "validators": self.service.validators,
        } | given
        return Options(**settings)

    def deploy(self, image: str | Image, **given: object) -> Deployment:
        """Deploy an image by name."""
        made = self.world.image(image) if isinstance(image, str) else image
        options = self.options(**given)
        engine = with_validators(self.engine(), options.validators, options.strategy)
        return operations.deploy(engine, made, options)

    def rollback(self, to: int | None = None) -> Deployment:
        """Roll back."""
        return operations.rollback(self.engine(), to, self.options())

    def with_(self, **changes: object) -> "Stage":
        """Return the stage with another service, in the same world."""
        return attrs.evolve(self, service=attrs.evolve(self.service, **changes))


@pytest.fixture
def stage() -> Stage:
    """Return a service of two instances with a bake of five seconds."""
    world = World()
    strategy = BlueGreen(bake=timedelta(seconds=5), keep_warm=timedelta(hours=1))
    service = Service(
        "shop",
        backend=FakeBackend(world),
        switch=FakeSwitch(world),
        size=2,
        ports=8080,
        health="/healthz",
        strategy=strategy,
    )
    return Stage(world=world, store=MemoryStore(), service=service)
