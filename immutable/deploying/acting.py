"""Carrying out one effect. This is the only place where the world is changed."""

import functools
from datetime import timedelta
from typing import cast

from immutable.deploying.engine import Engine
from immutable.deploying.steps import (
    Attach,
    Detach,
    Effect,
    Fence,
    Freeze,
    Join,
    Launch,
    Replace,
    Resize,
    Retire,
    Route,
    Thaw,
    name_of,
    subject_of,
)
from immutable.durations import spell
from immutable.errors import (
    Ambiguous,
    BackendError,
    Conflict,
    ImmutableError,
    LedgerError,
    Refused,
    SequenceTaken,
)
from immutable.groups import Groups
from immutable.ledger.state import Attempt
from immutable.model import LedgerId, Token, Version
from immutable.names import token_of
from immutable.protocols import Switch
from immutable.retrying import retrying
from immutable.workers import Answer, Raised, Returned

_OfFleet = Launch | Resize | Replace | Retire | Freeze | Thaw
_QUICK = timedelta(seconds=60)
_SLOW = timedelta(minutes=10)


class LedgerLost(Exception):
    """The lease cannot be kept: the effect was not begun, and nobody can write so."""

    def __init__(self, error: ImmutableError) -> None:
        super().__init__(str(error))
        self.error = error


def budget(effect: Effect) -> timedelta:
    """Return how long an effect may take; the lease lasts at least as long."""
    return _SLOW if isinstance(effect, _OfFleet) else _QUICK


def act(engine: Engine, attempt: Attempt, effect: Effect) -> Version | None:
    """Carry out an effect, repeating it where the backend says that it may be.

    Returns:
        The switch's new version, where the effect was a write to it.

    Raises:
        Conflict: the switch has moved; nothing was changed.
        Ambiguous: it may or may not have taken effect.
        SequenceTaken: another deployer has taken over; nothing was changed.
        LedgerLost: the lease could not be renewed; nothing was changed.
        ImmutableError: it has not taken effect.
    """
    if engine.ledger is None:
        raise Refused("the ledger has no identity yet")
    ledger = engine.ledger
    token = token_of(ledger, attempt.id, name_of(effect), subject_of(effect))
    return retrying(
        lambda: _within_lease(engine, effect, ledger, token),
        host=engine.host,
        stop=engine.stop,
    )


def _within_lease(
    engine: Engine, effect: Effect, ledger: LedgerId, token: Token
) -> Version | None:
    """Never begin a call that could outlive the lease: a rival may have taken over."""
    limit = budget(effect)
    try:
        engine.journal.hold(limit)
    except SequenceTaken:
        raise
    except (BackendError, LedgerError) as exc:
        raise LedgerLost(exc) from exc
    call = functools.partial(_act, engine, effect, ledger, token)
    return _value_of(engine.host.run([call], within=limit)[0], effect, limit)


def _value_of(
    answer: Answer[Version | None], effect: Effect, limit: timedelta
) -> Version | None:
    match answer:
        case Returned(version):
            return version
        case Raised(error):
            raise error
        case None:
            raise Ambiguous(
                f"{name_of(effect)} gave no answer within {spell(limit)}",
                operation=name_of(effect),
                resource=effect.fleet,
            )


def _act(
    engine: Engine, effect: Effect, ledger: LedgerId, token: Token
) -> Version | None:
    match effect:
        case Launch() | Resize() | Replace() | Retire():
            _act_on_fleet(engine, effect, token)
            return None
        case Freeze() | Thaw():
            _act_on_group(engine, effect, token)
            return None
        case _:
            return _act_on_switch(engine, effect, ledger)


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


def _act_on_group(engine: Engine, effect: Freeze | Thaw, token: Token) -> None:
    # only decided where the backend declares them, and opening it has looked for both
    groups = cast("Groups", engine.backend.fleets)
    match effect:
        case Freeze(fleet=fleet):
            groups.freeze(fleet, token=token)
        case Thaw(fleet=fleet, like=like):
            groups.thaw(fleet, like=like, token=token)


def _act_on_switch(
    engine: Engine, effect: Attach | Join | Route | Fence | Detach, ledger: LedgerId
) -> Version | None:
    switch = engine.switch
    match effect:
        case Attach(fleet=fleet, health=health, expected=expected):
            return switch.attach(fleet, health=health, owner=ledger, expected=expected)
        case Join(fleet=fleet, members=members, drain=drain):
            switch.join(fleet, members, drain=drain)
            return None
        case Fence() if switch.capabilities.fencing == "blind":
            return _look_again(switch, effect)
        case (
            Route(routing=routing, expected=expected)
            | Fence(routing=routing, expected=expected)
        ):
            return switch.write(routing, owner=ledger, expected=expected)
        case Detach(fleet=fleet, expected=expected):
            return switch.detach(fleet, owner=ledger, expected=expected)


def _look_again(switch: Switch, fence: Fence) -> Version:
    """See that nothing has moved: a switch that compares nothing has no other fence."""
    view = switch.read()
    if view.routing != fence.routing:
        raise Conflict("the switch has moved", operation="fence", resource=fence.fleet)
    return view.version
