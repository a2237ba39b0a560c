"""The imperative shell: the one visible loop in which all effects happen.

    world → decide → intent in the ledger → one effect → outcome in the ledger → again

Deploy, rollback, scale, heal, retirement and recovery all run here.
"""

import logging
from collections import Counter
from datetime import datetime, timedelta
from typing import cast

import attrs

from immutable.deploying import acting, looking
from immutable.deploying.acting import LedgerLost
from immutable.deploying.decide import decide
from immutable.deploying.engine import Engine
from immutable.deploying.facts import (
    EvidenceFact,
    Fact,
    FleetFact,
    HealthFact,
    Reason,
    Seen,
    SwitchFact,
    Value,
    World,
)
from immutable.deploying.outcome import error_of, reason_of
from immutable.deploying.spoiling import spoilt_by
from immutable.deploying.steps import (
    Abort,
    Detach,
    Effect,
    Fence,
    Finish,
    Look,
    Pause,
    Resolve,
    Route,
    Wait,
    name_of,
)
from immutable.deploying.telling import Teller
from immutable.durations import spell
from immutable.errors import (
    Ambiguous,
    BackendError,
    DeadlineExceeded,
    ImmutableError,
    LedgerError,
    RecoveryNeeded,
    SequenceTaken,
    Unavailable,
)
from immutable.events import Ended
from immutable.host import Never
from immutable.ledger.goals import DeployGoal
from immutable.ledger.journal import LEASE
from immutable.ledger.records import (
    Aborting,
    Finished,
    Intended,
    Paused,
    Renewed,
    Result,
    Settled,
)
from immutable.ledger.state import Attempt
from immutable.model import InstanceLog, Outcome, Routing, SwitchView, Version

LOOKS = 3
"""So many readings of one fact may fail in a row before the loop gives up on going back, too."""
PROMPT = timedelta(seconds=5)
"""How soon traffic must be moved after the readings that it rests upon."""
_LEFT = Reason(kind="Cancelled", message="left open, for the next to go on")
_log = logging.getLogger("immutable.deploying")


@attrs.frozen(kw_only=True)
class Ending:
    """How the loop ended, with the evidence that it collected on the way."""

    outcome: Outcome
    error: ImmutableError | None = None
    leftovers: tuple[str, ...] = ()
    evidence: tuple[InstanceLog, ...] = ()


class Loop:
    """Drives the attempt in the journal to its end."""

    def __init__(
        self,
        engine: Engine,
        *,
        deadline: datetime | None = None,
        leaving: bool = False,
        switch: Seen | None = None,
    ) -> None:
        """Prepare to drive the attempt.

        Args:
            engine: the open parts.
            deadline: from when on it is turned back.
            leaving: asked to stop, leave it open.
            switch: how the last attempt of this process knew the switch at its end.
        """
        self._engine = engine
        self._context = engine.context
        self._leaving = leaving
        self._asked = engine.stop
        self._journal = engine.journal
        self._deadline = deadline
        facts: dict[Fact, Seen] = {SwitchFact(): switch} if switch else {}
        self._world = World(now=engine.host.now(), facts=facts)
        self.teller = Teller(engine.tell, engine.host)
        self._failed_looks: Counter[Fact] = Counter()
        self._paused = False
        self._cause: BaseException | None = None
        self._written: Version | None = None
        self.calls = 0

    @property
    def switch(self) -> Seen | None:
        """Return how the switch is known, if it is."""
        return self._world.facts.get(SwitchFact())

    def run(self) -> Ending:
        """Go on until the deployment has ended, or another deployer has taken over."""
        begun = self._journal.state.attempt
        if begun is not None and begun.aborting is not None:
            self._engine = attrs.evolve(self._engine, stop=Never())
        if begun is not None:
            self._know_what_is_new(begun)
        try:
            while not self._paused and (attempt := self._journal.state.attempt):
                self._turn(attempt)
        except SequenceTaken:
            return self._superseded()
        except LedgerLost as exc:
            return self._unrecorded(exc.error)
        except (LedgerError, BackendError) as exc:
            return self._unrecorded(exc)
        return self._ending()

    def _know_what_is_new(self, begun: Attempt) -> None:
        """Ask nothing about a fleet that cannot be there: its name is this deployment's."""
        goal = begun.goal
        if not isinstance(goal, DeployGoal) or goal.reused:
            return
        if begun.resumed_at is None and not begun.steps:
            fact = FleetFact(fleet=goal.fleet)
            self._learn(fact, None, self._engine.host.now())

    def _turn(self, attempt: Attempt) -> None:
        self._world = self._world.at(self._engine.host.now(), self._why_stop())
        if self._leaving and self._asked.is_set():
            self._pause(Pause(reason=_LEFT))
            return
        step = decide(self._journal.state, self._world, self._context)
        match step:
            case Look():
                self._look(step, attempt)
            case Wait():
                self._wait(step)
            case Resolve(number=number, applied=applied):
                result = Result.APPLIED if applied else Result.NOT_APPLIED
                self._settle(number, result, None)
            case Abort(reason=reason):
                self._turn_back(reason)
            case Pause():
                self._pause(step)
            case Finish():
                self._finish(step)
            case _:
                self._act(step, attempt)

    def _turn_back(self, reason: Reason) -> None:
        # going back is not to be hurried: from here on nobody is asked to stop
        self._engine = attrs.evolve(self._engine, stop=Never())
        self._journal.append(Aborting(reason=reason))
        self.teller.turned_back(reason)

    def _look(self, step: Look, attempt: Attempt) -> None:
        self._renew()
        self.calls += 1
        asked_at = self._engine.host.now()
        try:
            value = looking.look(self._engine, self._journal.state, step.fact)
            _check_age(step.fact, self._engine.host.now() - asked_at)
        except ImmutableError as exc:
            self._look_failed(step, exc, attempt)
            return
        del self._failed_looks[step.fact]
        # as old as the question: whoever slept over the answer does not know when it was
        self._learn(step.fact, value, asked_at)
        self.teller.looked(step.fact, value)

    def _look_failed(self, step: Look, error: ImmutableError, attempt: Attempt) -> None:
        if isinstance(step.fact, EvidenceFact):
            # lost evidence is a pity; staying behind for it would be worse
            self._world = self._world.learn(step.fact, ())
            return
        self._cause = error
        self._failed_looks[step.fact] += 1
        failed = self._failed_looks[step.fact]
        if failed < LOOKS:
            self._engine.host.sleep(timedelta(seconds=failed), self._engine.stop)
            return
        self._failed_looks.clear()
        if attempt.aborting is None and attempt.unfenced_at is None:
            self._turn_back(reason_of(error))
        else:
            self._pause(Pause(reason=reason_of(error), leftovers=(error.message,)))

    def _wait(self, step: Wait) -> None:
        self._renew()
        self.teller.waiting(step)
        pause = min(step.pause, max(step.until - self._world.now, timedelta()))
        self._engine.host.sleep(pause, self._engine.stop)
        self._world = self._world.forget(*step.facts)

    def _act(self, effect: Effect, attempt: Attempt) -> None:
        intent = Intended(number=attempt.steps + 1, step=effect)
        lease = acting.budget(effect) + LEASE
        attempt = self._journal.append(intent, lease=lease).attempt or attempt
        began = self.teller.started(effect)
        if isinstance(effect, Route) and began - self._world.now > PROMPT:
            # what was read before is no reason any more to give a fleet traffic
            self._settle(intent.number, Result.NOT_APPLIED, _too_late())
            self._world = self._world.forget_all()
            return
        self.calls += 1
        result, error = self._try(effect, attempt)
        self._settle(intent.number, result, error)
        self._forget(effect, result)
        self.teller.finished(effect, began, result, error)
        if result is Result.APPLIED:
            self.teller.shifted(effect, began, _served(attempt))

    def _try(
        self, effect: Effect, attempt: Attempt
    ) -> tuple[Result, BaseException | None]:
        self._written = None
        try:
            self._written = acting.act(self._engine, attempt, effect)
        except (SequenceTaken, LedgerLost):
            raise
        except Ambiguous as exc:
            return Result.UNKNOWN, exc
        except ImmutableError as exc:
            return Result.NOT_APPLIED, exc
        # a backend's bug is met like an answer that never came: read back, then decide
        except Exception as exc:  # noqa: BLE001 - see above
            _log.exception("%s of %s raised", name_of(effect), effect.fleet)
            return Result.UNKNOWN, exc
        return Result.APPLIED, None

    def _settle(self, number: int, result: Result, error: BaseException | None) -> None:
        self._cause = error or self._cause
        reason = reason_of(error) if error else None
        self._journal.append(Settled(number=number, result=result, reason=reason))

    def _pause(self, step: Pause) -> None:
        self._journal.append(Paused(reason=step.reason, leftovers=step.leftovers))
        self._paused = True
        now = self._engine.host.now()
        message = step.reason.message
        ended = Ended(at=now, outcome=Outcome.NEEDS_RECOVERY, message=message)
        self._engine.tell(ended)

    def _forget(self, effect: Effect, result: Result) -> None:
        if result is Result.UNKNOWN:
            self._world = self._world.forget_all()
            return
        seen = self.switch
        self._world = self._world.forget(*spoilt_by(effect))
        if isinstance(effect, Route | Fence | Detach) and seen and self._written:
            before = cast("SwitchView", seen.value)
            self._learn_written(effect, self._written, before)

    def _learn_written(
        self, effect: Route | Fence | Detach, version: Version, before: SwitchView
    ) -> None:
        """Know the switch from the write itself: that it was accepted proves the rest."""
        if self._context.switch.fencing == "blind":
            return
        view = attrs.evolve(before, version=version, owner=self._context.ledger)
        if isinstance(effect, Detach):
            left = (a for a in before.attachments if a.fleet != effect.fleet)
            view = attrs.evolve(view, attachments=tuple(left))
        else:
            view = attrs.evolve(view, routing=effect.routing)
        self._learn(SwitchFact(), view, self._engine.host.now())

    def _learn(self, fact: Fact, value: Value, at: datetime) -> None:
        self._world = self._world.at(at, self._world.stop).learn(fact, value)

    def _finish(self, step: Finish) -> None:
        self._journal.append(
            Finished(
                outcome=step.outcome,
                live=step.live,
                reason=step.reason,
                leftovers=step.leftovers,
            )
        )
        self.teller.ended(step)

    def _renew(self) -> None:
        until = self._journal.state.lease_until
        if until is None or until - self._world.now < LEASE / 2:
            self._journal.append(Renewed())

    def _why_stop(self) -> Reason | None:
        if self._asked.is_set():
            return Reason(kind="Cancelled", message="the caller asked to stop")
        if self._deadline is not None and self._engine.host.now() >= self._deadline:
            return Reason(
                kind="DeadlineExceeded", message="the timeout passed before the commit"
            )
        return None

    def _superseded(self) -> Ending:
        error = error_of(
            Reason(
                kind="Superseded",
                message="another deployer took over",
                hint="ask status()",
            )
        )
        return Ending(outcome=Outcome.SUPERSEDED, error=error)

    def _unrecorded(self, error: ImmutableError) -> Ending:
        """End without an ending in the ledger: it could not be written."""
        message = f"the ledger could not be written: {error.message}"
        ending = RecoveryNeeded(message, hint="recover() goes on once it can be")
        ending.__cause__ = error
        now = self._engine.host.now()
        self._engine.tell(
            Ended(at=now, outcome=Outcome.NEEDS_RECOVERY, message=message)
        )
        return Ending(
            outcome=Outcome.NEEDS_RECOVERY, error=ending, evidence=self._collected()
        )

    def _ending(self) -> Ending:
        latest = self._journal.state.latest
        if latest is None:
            raise AssertionError("an attempt ended without an ending")
        error = error_of(latest.reason) if latest.reason else None
        if error is not None and self._cause is not None:
            error.__cause__ = self._cause
        return Ending(
            outcome=latest.outcome,
            error=error,
            leftovers=latest.leftovers,
            evidence=self._collected(),
        )

    def _collected(self) -> tuple[InstanceLog, ...]:
        fleets = [f.fleet for f in self._world.facts if isinstance(f, EvidenceFact)]
        return tuple(log for fleet in fleets for log in self._world.evidence(fleet))


def _check_age(fact: Fact, took: timedelta) -> None:
    """Refuse a proof of readiness that was old when it came: the process may have slept."""
    if isinstance(fact, HealthFact) and took > PROMPT:
        message = f"the health of {fact.fleet} took more than {spell(PROMPT)} to read"
        raise Unavailable(message, operation="switch.health", resource=fact.fleet)


def _too_late() -> DeadlineExceeded:
    return DeadlineExceeded(
        f"the ledger took more than {spell(PROMPT)}, and the readings grew too old",
        hint="a faster ledger store, or another try",
    )


def _served(attempt: Attempt) -> Routing | None:
    """Return what was served before the step that comes next."""
    before = attempt.goal.before if isinstance(attempt.goal, DeployGoal) else None
    return attempt.routed or before
