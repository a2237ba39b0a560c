"""Run validators as the engine does: bounded in time and words, whatever they do."""

import functools
import inspect
import logging
from collections.abc import Iterable
from datetime import timedelta

from immutable import host
from immutable.durations import spell
from immutable.host import Host
from immutable.judging import Target, Verdict, VerdictStatus
from immutable.protocols import Validator
from immutable.validators.evidence import excerpt
from immutable.workers import Answer, Raised, Returned

_LOGGER = logging.getLogger("immutable.validators")
_EVIDENCE_LIMIT = 300
_NAME_LIMIT = 100
_BOOLS = {True: VerdictStatus.PASSED, False: VerdictStatus.FAILED}
_WANTED = "return True, False or a Verdict"


def name_of(validator: Validator) -> str:
    """Return the name under which a validator is journalled and shown.

    It is the validator's ``name`` where that is text, else its ``__qualname__`` or that
    of the function it is a partial of, else the name of its class.
    """
    inner: object = validator
    while isinstance(inner, functools.partial):
        inner = inner.func
    names = (getattr(inner, attribute, None) for attribute in ("name", "__qualname__"))
    found = next((n for n in names if isinstance(n, str) and n), type(inner).__name__)
    return excerpt(found, limit=_NAME_LIMIT)


def run_validator(
    validator: Validator, target: Target, *, timeout: timedelta
) -> Verdict:
    """Run one validator and return its verdict; nothing that it does raises here.

    Args:
        validator: any callable. It runs in a daemon thread, which nobody can stop: one
            that hangs is left behind, and its late answer is ignored.
        target: what it is to judge.
        timeout: how long to wait for the answer; without one, it is undecided.
    """
    return run_validators((validator,), target, timeout=timeout)[0]


def run_validators(
    validators: Iterable[Validator],
    target: Target,
    *,
    timeout: timedelta,
    here: Host | None = None,
) -> tuple[Verdict, ...]:
    """Run validators side by side and return one verdict each, in their order.

    Args:
        validators: any callables, each run as `run_validator` does.
        target: what they are to judge.
        timeout: how long to wait, for all of them together.
        here: the host that they run on; the current one when not given.
    """
    validators = tuple(validators)
    calls = [functools.partial(_judge, validator, target) for validator in validators]
    answers = (here or host.current()).run(calls, within=timeout)
    return tuple(
        _named(name_of(validator), answer, timeout)
        for validator, answer in zip(validators, answers, strict=True)
    )


def _named(name: str, answer: Answer[Verdict], timeout: timedelta) -> Verdict:
    match answer:
        case Returned(verdict):
            found = verdict
        case Raised(error):
            found = _failed(_words_of(error))
        case None:
            found = _undecided(f"no answer within {spell(timeout)}")
    return Verdict(
        status=found.status,
        evidence=excerpt(found.evidence, limit=_EVIDENCE_LIMIT),
        validator=name,
    )


def _judge(validator: Validator, target: Target) -> Verdict:
    try:
        return _verdict_of(validator(target))
    except (Exception, SystemExit) as exc:
        _LOGGER.debug("validator %s raised", name_of(validator), exc_info=exc)
        return _failed(_words_of(exc))


def _words_of(exc: BaseException) -> str:
    try:
        message = str(exc)
    except Exception:  # noqa: BLE001 - a user's __str__ can do anything
        message = ""
    return f"{type(exc).__name__}: {message}" if message else type(exc).__name__


def _verdict_of(answer: object) -> Verdict:
    if isinstance(answer, Verdict):
        # A user's Verdict may hold plain strings, or things that are no text at all.
        status, evidence = VerdictStatus(answer.status), str(answer.evidence)
        return Verdict(status=status, evidence=evidence)
    if answer is None:
        return _undecided(f"returned None: {_WANTED}")
    if isinstance(answer, bool):
        return Verdict(status=_BOOLS[answer])
    if inspect.iscoroutine(answer):
        answer.close()
    return _failed(f"returned {type(answer).__qualname__}: {_WANTED}")


def _failed(evidence: str) -> Verdict:
    return Verdict(status=VerdictStatus.FAILED, evidence=evidence)


def _undecided(evidence: str) -> Verdict:
    return Verdict(status=VerdictStatus.UNDECIDED, evidence=evidence)
