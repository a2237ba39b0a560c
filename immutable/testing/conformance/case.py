"""A case: one clause of the contract, and the function that holds a subject to it."""

import enum
from collections.abc import Callable
from typing import Generic, TypeVar

import attrs

from immutable.capabilities import Capabilities, SwitchCapabilities
from immutable.testing.conformance.subject import Subject

_T = TypeVar("_T")


class Part(enum.StrEnum):
    """The parts of the contract, in the order in which they are reported."""

    OPENING = "opening"
    IMAGES = "images"
    RECORDS = "records"
    FLEETS = "fleets"
    MACHINES = "machines"
    SWITCH = "switch"
    LOGS = "logs"
    DEPLOYING = "deploying"
    CRASHING = "crashing"
    LEDGER = "ledger"
    VALIDATORS = "validators"


class Reach(enum.StrEnum):
    """How much of the provider a case needs, from cheap to dear."""

    NOTHING = "nothing"
    """No instance at all."""
    OBJECTS = "objects"
    """Instances that need not boot: an inert image will do."""
    READY = "ready instances"
    """Instances that answer."""
    DEPLOYS = "whole deployments"
    """Several fleets, one after the other."""


class Fits(enum.StrEnum):
    """Whether a case applies, as the declared capabilities say."""

    APPLIES = "applies"
    REFUSED = "refused"
    """What is not declared is tried, and must be refused before any effect."""
    NOT_APPLICABLE = "not applicable"


@attrs.frozen(kw_only=True)
class Fit:
    """Whether a case applies, and why not."""

    fits: Fits = Fits.APPLIES
    reason: str = ""


APPLIES = Fit()


@attrs.frozen(kw_only=True)
class Terms:
    """What is declared: all that decides whether a case applies."""

    subject: Subject
    backend: Capabilities | None = None
    switch: SwitchCapabilities | None = None


def refused(capability: str) -> Fit:
    """Return that the case is to see a refusal."""
    return Fit(fits=Fits.REFUSED, reason=f"{capability} is not declared")


def not_applicable(reason: str) -> Fit:
    """Return that there is nothing to see here, and why."""
    return Fit(fits=Fits.NOT_APPLICABLE, reason=reason)


@attrs.frozen(kw_only=True)
class Case(Generic[_T]):
    """One clause of the contract, and how a subject is held to it.

    ``T`` is what the check gets: everything it may use of the subject.
    """

    part: Part
    title: str
    clause: str
    """A quotation or a paraphrase of a docstring in `immutable.protocols` or beside it."""
    reach: Reach
    check: Callable[[_T], None]
    fit: Callable[[Terms], Fit]

    @property
    def name(self) -> str:
        """Return part and title: how the case is called everywhere."""
        return f"{self.part}: {self.title}"


def always(_terms: Terms) -> Fit:
    """Return that the case applies, whatever is declared."""
    return APPLIES


class Cases(Generic[_T]):
    """The cases of one suite, in the order in which they are written."""

    def __init__(self) -> None:
        self._cases: list[Case[_T]] = []

    def __call__(
        self,
        part: Part,
        title: str,
        clause: str,
        *,
        reach: Reach = Reach.NOTHING,
        fit: Callable[[Terms], Fit] = always,
    ) -> Callable[[Callable[[_T], None]], Callable[[_T], None]]:
        """Make a case of the function below."""

        def add(check: Callable[[_T], None]) -> Callable[[_T], None]:
            self._cases.append(
                Case(
                    part=part,
                    title=title,
                    clause=clause,
                    reach=reach,
                    check=check,
                    fit=fit,
                )
            )
            return check

        return add

    def all(self) -> tuple[Case[_T], ...]:
        """Return the cases by part, each part in the order of its file."""
        order = list(Part)
        return tuple(sorted(self._cases, key=lambda case: order.index(case.part)))
