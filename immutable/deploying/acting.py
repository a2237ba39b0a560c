"""Carrying out one effect. This is the only place where the world is changed."""

from datetime import timedelta

from immutable.deploying.engine import Engine
from immutable.deploying.retrying import retrying
from immutable.deploying.steps import (
    Attach,
    Detach,
    Effect,
    Fence,
    Join,
    Launch,
    Replace,
    Resize,
    Retire,
    Route,
    name_of,
    subject_of,
)
from immutable.errors import Refused
from immutable.ledger.state import Attempt
from immutable.model import LedgerId, Token
from immutable.names import token_of

_QUICK = timedelta(seconds=60)
_SLOW = timedelta(minutes=10)


def budget(effect: Effect) -> timedelta:
    """Return how long an effect may take; the lease is held for as long."""
    return _SLOW if isinstance(effect, Launch | Resize | Replace | Retire) else _QUICK


def act(engine: Engine, attempt: Attempt, effect: Effect) -> None:
    """Carry out an effect, repeating it where the backend says that it may be.

    Raises:
        Conflict: the switch has moved; nothing was changed.
        Ambiguous: it may or may not have taken effect.
        ImmutableError: it has not taken effect.
    """
    if engine.ledger is None:
        raise Refused("the ledger has no identity yet")
    ledger = engine.ledger
    token = token_of(ledger, attempt.id, name_of(effect), subject_of(effect))
    retrying(
        lambda: _act(engine, effect, ledger, token),
        host=engine.host,
        stop=engine.stop,
    )


def _act(engine: Engine, effect: Effect, ledger: LedgerId, token: Token) -> None:
    match effect:
        case Launch() | Resize() | Replace() | Retire():
            _act_on_fleet(engine, effect, token)
        case _:
            _act_on_switch(engine, effect, ledger)


def _act_on_fleet(
    engine: Engine, effect: Launch | Resize | Replace | Retire, token: Token
) -> None:
    fleets = engine.backend.fleets
    match effect:
        case Launch(spec=spec):
            fleets.launch(spec, token=token)
        case Resize(spec=spec, remove=remove):
            fleets.resize(spec, remove=remove, token=token)
        case Replace(spec=spec, instance=instance):
            fleets.replace(spec, instance=instance, token=token)
        case Retire(fleet=fleet):
            fleets.retire(fleet, token=token)


def _act_on_switch(
    engine: Engine, effect: Attach | Join | Route | Fence | Detach, ledger: LedgerId
) -> None:
    switch = engine.switch
    match effect:
        case Attach(fleet=fleet, health=health, expected=expected):
            switch.attach(fleet, health=health, owner=ledger, expected=expected)
        case Join(fleet=fleet, members=members, drain=drain):
            switch.join(fleet, members, drain=drain)
        case (
            Route(routing=routing, expected=expected)
            | Fence(routing=routing, expected=expected)
        ):
            switch.write(routing, owner=ledger, expected=expected)
        case Detach(fleet=fleet, expected=expected):
            switch.detach(fleet, owner=ledger, expected=expected)
