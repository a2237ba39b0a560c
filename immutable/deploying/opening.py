"""Opening the parts of a service for one call."""

from collections.abc import Callable, Sequence

import attrs

from immutable import host, registry
from immutable.deploying.engine import Engine
from immutable.events import Event
from immutable.host import Stop
from immutable.images.catalogue.guard import Guard
from immutable.images.catalogue.shelf import Shelf
from immutable.judging import Target, Verdict, VerdictStatus
from immutable.ledger.journal import Journal
from immutable.protocols import Validator
from immutable.service import Service, check_service
from immutable.strategies import Strategy
from immutable.validators.run import name_of


def open_engine(
    service: Service,
    *,
    tell: Callable[[Event], None] | None,
    stop: Stop,
) -> Engine:
    """Open everything that a call on the service needs. Nothing is changed by it.

    Raises:
        InvalidInput: an address or an option cannot be used.
    """
    service = check_service(service)
    backend = registry.open_backend(service.backend)
    here = host.of(backend)
    store = registry.open_ledger(service.ledger, service.name, backend)
    return Engine(
        service=service,
        backend=backend,
        switch=registry.open_switch(
            service.switch, backend, service.name, port=service.port
        ),
        journal=Journal(store, service.name, here),
        host=here,
        ledger=None,
        validators=service.validators,
        judge=service.strategy.judge,
        tell=tell or _silence,
        stop=stop,
        guard=Guard(shelf=Shelf(store, here), backend=backend),
    )


def _silence(_event: Event) -> None:
    """Tell nobody."""


def with_validators(
    engine: Engine, validators: tuple[Validator, ...], strategy: Strategy
) -> Engine:
    """Return the engine with what one call was given instead of the service's own."""
    return attrs.evolve(engine, validators=validators, judge=strategy.judge)


def with_names(engine: Engine, names: Sequence[str]) -> Engine:
    """Return the engine with exactly the validators that a journalled goal names.

    One that this process does not have is undecided: it neither passes nor fails.
    """
    known = {name_of(validator): validator for validator in engine.validators}
    judge = engine.judge if engine.judge and name_of(engine.judge) in names else None
    named = [name for name in names if judge is None or name != name_of(judge)]
    validators: tuple[Validator, ...] = tuple(
        known.get(name) or _Lost(name=name) for name in named
    )
    return attrs.evolve(engine, validators=validators, judge=judge)


@attrs.frozen(kw_only=True)
class _Lost:
    """Stands for a validator that only the dead deployer had."""

    name: str

    def __call__(self, target: Target) -> Verdict:  # noqa: ARG002 - it has no answer
        evidence = "this process does not have the validator; pass it to the service"
        return Verdict(
            status=VerdictStatus.UNDECIDED, evidence=evidence, validator=self.name
        )
