"""Tags as AWS keeps them, and whether two sets of them are of the same thing.

At most 50 tags on a resource, keys of 128 characters and values of 256
(https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html).
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from immutable.authoring import TagRules
from immutable.model import Tags, pairs

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import TagTypeDef

Pairs = tuple[tuple[str, str], ...]
_OURS = "immutable-"
_SHARED = frozenset({"immutable-service", "immutable-ledger"})
_RULES = TagRules(max_tags=45, max_key_chars=128, max_value_chars=256)


def checked(tags: Tags) -> dict[str, str]:
    """Return the tags, once it is known that AWS takes them.

    Raises:
        InvalidInput: it does not.
    """
    return dict(_RULES.check(tags))


def to_tags(tags: Mapping[str, str]) -> "list[TagTypeDef]":
    """Return tags as EC2 takes them."""
    return [{"Key": key, "Value": value} for key, value in sorted(tags.items())]


def pairs_of(tags: "Iterable[Mapping[str, object]]") -> Pairs:
    """Return the tags in an answer, sorted."""
    return pairs((str(t.get("Key", "")), str(t.get("Value", ""))) for t in tags)


def is_ours(tags: Pairs) -> bool:
    """Return whether this library has marked something."""
    return any(key == f"{_OURS}ledger" for key, _ in tags)


def shared(tags: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the tags that everything of a service has in common."""
    return {key: value for key, value in tags if key in _SHARED}


def differing(wanted: Mapping[str, str], found: Pairs) -> str:
    """Return in words how tags that are there differ from those wanted; empty: nowhere."""
    there = dict(found)
    wrong = [f"{k}={there.get(k)}" for k, v in wanted.items() if there.get(k) != v]
    return ", ".join(sorted(wrong))
