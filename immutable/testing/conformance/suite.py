"""The suites that cases are added to."""

from collections.abc import Callable
from typing import Literal

from immutable.images.recipe import Recipe
from immutable.testing.conformance.case import (
    APPLIES,
    Cases,
    Fit,
    Terms,
    not_applicable,
    refused,
)
from immutable.testing.conformance.trial import Trial

_Fitting = Callable[[Terms], Fit]
case = Cases[Trial]()
"""Makes a case of backends and switches of the function below it."""


def declares(part: Literal["backend", "switch"], capability: str) -> _Fitting:
    """Apply where a capability is declared."""

    def fit(terms: Terms) -> Fit:
        if getattr(getattr(terms, part), capability):
            return APPLIES
        return not_applicable(f"{capability} is not declared")

    return fit


def lacks(part: Literal["backend", "switch"], capability: str) -> _Fitting:
    """Expect a refusal where a capability is not declared."""

    def fit(terms: Terms) -> Fit:
        if getattr(getattr(terms, part), capability):
            return not_applicable(f"{capability} is declared")
        return refused(capability)

    return fit


def each(*fits: _Fitting) -> _Fitting:
    """Fit as the last one does, where all others apply."""

    def fit(terms: Terms) -> Fit:
        for other in fits[:-1]:
            if (found := other(terms)) != APPLIES:
                return found
        return fits[-1](terms)

    return fit


def with_groups(terms: Terms) -> Fit:
    """Apply where there is a backend."""
    return APPLIES if terms.backend else not_applicable("no backend to try")


def with_another(terms: Terms) -> Fit:
    """Apply where there is a second image."""
    if terms.subject.another is None:
        return not_applicable("the subject names no other image")
    return with_groups(terms)


def reopenable(terms: Terms) -> Fit:
    """Apply where the backend can be opened anew."""
    backend = terms.subject.backend
    if isinstance(backend, str) or callable(backend):
        return APPLIES
    return not_applicable("the subject gives the backend as an object")


def recipes(terms: Terms) -> tuple[Recipe, ...]:
    """Return the recipes among the subject's images."""
    s = terms.subject
    return tuple(i for i in (s.good, s.another, s.inert) if isinstance(i, Recipe))


def with_recipe(terms: Terms) -> Fit:
    """Apply where there is a recipe."""
    return APPLIES if recipes(terms) else not_applicable("the subject gives no recipe")
