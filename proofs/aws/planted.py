"""Bugs that can be planted into deployers, so that the proof is seen to notice."""

import enum
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from immutable_aws.groups.retiring import Retiring
from immutable_aws.groups.templates import Templates


class Bug(enum.StrEnum):
    """What a deployer, or who recovers after it, does wrong."""

    FORGETS_TEMPLATES = "forgets-templates"
    """Retiring a fleet leaves its launch template."""
    FORGETS_HALVES = "forgets-halves"
    """Retiring a fleet whose group was never made does nothing: only a death shows it."""


@contextmanager
def planted(bug: Bug | None) -> Iterator[None]:
    """Have this process do one thing wrong."""
    if bug is None:
        yield
    elif bug is Bug.FORGETS_TEMPLATES:
        with mock.patch.object(Templates, "delete", return_value=None):
            yield
    else:
        with mock.patch.object(Retiring, "_retire_half", return_value=None):
            yield
