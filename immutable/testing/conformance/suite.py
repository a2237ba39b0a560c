"""The suites that cases are added to."""

from immutable.testing.conformance.case import (
    APPLIES,
    Cases,
    Fit,
    Terms,
    not_applicable,
    refused,
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


def building(terms: Terms) -> Fit:
    """Apply where images are built."""
    if terms.backend and terms.backend.builds_images:
        return APPLIES
    return refused("builds_images")
