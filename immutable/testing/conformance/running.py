"""Running one case against one subject, and what became of it."""

import enum
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

import attrs

from immutable import host
from immutable.errors import ImmutableError
from immutable.testing.conformance import clearing
from immutable.testing.conformance.broken import Broken
from immutable.testing.conformance.case import (
    Case,
    Fit,
    Fits,
    Part,
    Reach,
    Terms,
    not_applicable,
)
from immutable.testing.conformance.opened import Opened, opened
from immutable.testing.conformance.subject import Subject, leaves_out
from immutable.testing.conformance.trial import Trial

_T = TypeVar("_T")


class Result(enum.StrEnum):
    """What became of a case, as the report shows it."""

    PASSED = "passed"
    REFUSED = "refused cleanly"
    NOT_APPLICABLE = "not applicable"
    LEFT_OUT = "left out"
    FAILED = "failed"


@attrs.frozen(kw_only=True)
class Ran:
    """What became of one case of one subject."""

    subject: str
    part: str
    case: str
    result: Result
    reason: str = ""
    notes: tuple[tuple[str, str], ...] = ()


def run(case: Case[Trial], subject: Subject) -> Ran:
    """Hold a subject to one clause.

    Raises:
        Broken: the clause is not kept.
    """
    ready = opened(subject)
    with host.running_on(subject.host or ready.host):
        if (skipped := _skipped(case, ready)) is not None:
            return skipped
        fits = case.fit(ready.terms).fits
        result = Result.REFUSED if fits is Fits.REFUSED else Result.PASSED
        return ran(case, subject.label, result, notes=tuple(_tried(case, ready)))


def _skipped(case: Case[Trial], ready: Opened) -> Ran | None:
    if leaves_out(ready.subject.leave_out, case.name):
        return ran(
            case, ready.subject.label, Result.LEFT_OUT, "the subject leaves it out"
        )
    fit = _lacking(case, ready.terms) or case.fit(ready.terms)
    if fit.fits is Fits.NOT_APPLICABLE:
        return ran(case, ready.subject.label, Result.NOT_APPLICABLE, fit.reason)
    return None


def _lacking(case: Case[Trial], terms: Terms) -> Fit | None:
    """Return that a switch alone cannot be tried so, where it cannot."""
    if terms.backend is not None:
        return None
    if case.part is not Part.SWITCH or case.reach is Reach.DEPLOYS:
        return not_applicable("the subject has no backend")
    if case.reach is Reach.READY and terms.subject.servers is None:
        return not_applicable("the subject has neither backend nor servers")
    return None


def _tried(case: Case[Trial], ready: Opened) -> list[tuple[str, str]]:
    trial = Trial(case, ready)
    with _cleared(trial):
        case.check(trial)
    return trial.notes


@contextmanager
def _cleared(trial: Trial) -> Iterator[None]:
    try:
        try:
            yield
        except Broken:
            clearing.give_up(trial)
            raise
        except Exception as exc:
            clearing.give_up(trial)
            if found := _unexpected(trial, exc):
                raise found from exc
            raise
        clearing.finish(trial)
    finally:
        clearing.close(trial)


def _unexpected(trial: Trial, error: Exception) -> Broken | None:
    """Return what is to be said of an error where there should have been none."""
    if isinstance(error, ImmutableError):
        return trial.broken("no error", repr(error))
    return clearing.complaint(trial)


def ran(
    case: Case[_T],
    subject: str,
    result: Result,
    reason: str = "",
    notes: tuple[tuple[str, str], ...] = (),
) -> Ran:
    """Return what became of a case of a subject."""
    return Ran(
        subject=subject,
        part=case.part,
        case=case.name,
        result=result,
        reason=reason,
        notes=notes,
    )


def failed(case: Case[Trial], subject: Subject) -> Ran:
    """Return what is reported when the case raises."""
    return ran(case, subject.label, Result.FAILED)
