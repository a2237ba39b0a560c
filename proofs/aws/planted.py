"""Bugs that can be planted into deployers, so that the proof is seen to notice."""

import enum
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from immutable.errors import BackendError
from immutable_aws.errors import said
from immutable_aws.rulebook import Rulebook
from immutable_aws.rules import NewRule, Rule
from immutable_aws.templates import Templates

_MET = Rulebook._met  # noqa: SLF001 - what the bug stands in for


class Bug(enum.StrEnum):
    """What a deployer does wrong."""

    FORGETS_TEMPLATES = "forgets-templates"
    """Retiring a fleet leaves its launch template."""
    TAKEN_IS_MADE = "taken-is-made"
    """A priority that is in use counts as a rule that was made."""


@contextmanager
def planted(bug: Bug | None) -> Iterator[None]:
    """Have this process do one thing wrong."""
    if bug is None:
        yield
    elif bug is Bug.FORGETS_TEMPLATES:
        with mock.patch.object(Templates, "delete", _forget):
            yield
    else:
        with mock.patch.object(Rulebook, "_met", _believe):
            yield


def _forget(_templates: Templates, _template: str, *, about: str) -> None:
    del about


def _believe(book: Rulebook, error: BackendError, new: NewRule, operation: str) -> Rule:
    if said(error) != "PriorityInUse":
        return _MET(book, error, new, operation)
    return book._made(new, "arn:aws:elasticloadbalancing:believed")  # noqa: SLF001 - as the bug would
