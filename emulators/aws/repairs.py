"""What is wrong in moto below its operations."""

from moto.cloudwatch.models import Dimension


def repair() -> None:
    """Put it right."""
    setattr(Dimension, "__lt__", _is_before)  # noqa: B010 - mypy lets no method be assigned


def _is_before(one: Dimension, other: Dimension) -> bool:
    """Order dimensions by name.

    Source: CloudWatch user guide, "Dimensions": a metric is known by all its dimensions, in
    whatever order they are named. moto compares values with names, so that what is asked for
    in another order is not found.
    """
    return (one.name or "", one.value or "") < (other.name or "", other.value or "")
