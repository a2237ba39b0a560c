"""The suites that cases are added to."""

from immutable.images.recipe import Recipe
from immutable.testing.conformance.case import (
    APPLIES,
    Cases,
    Fit,
    Terms,
    not_applicable,
)
from immutable.testing.conformance.trial import Trial

case = Cases[Trial]()
"""Makes a case of backends and switches of the function below it."""


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
