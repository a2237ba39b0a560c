"""Tags: what marks a resource as ours, and where they go where a provider has none."""

import json
from collections.abc import Iterable

import attrs

from immutable.errors import InvalidInput
from immutable.model import LedgerId, ServiceName, Tags, pairs

Pairs = tuple[tuple[str, str], ...]
_PREFIX = "immutable-"


def is_tagged(
    tags: Iterable[tuple[str, str]], *, service: ServiceName, ledger: LedgerId
) -> bool:
    """Return whether a resource with these tags belongs to this service and ledger."""
    wanted = {("immutable-service", service), ("immutable-ledger", ledger)}
    return wanted <= set(tags)


def tags_to_text(tags: Tags) -> str:
    """Return tags as one line, for a description where a provider has no labels."""
    return json.dumps(tags.to_mapping(), separators=(",", ":"), sort_keys=True)


def tags_from_text(text: str) -> Pairs:
    """Return the tags in a description, sorted; none in one that somebody else wrote."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    if not isinstance(found, dict):
        return ()
    return pairs(
        (key, value)
        for key, value in found.items()
        if key.startswith(_PREFIX) and isinstance(value, str)
    )


@attrs.frozen(kw_only=True)
class TagRules:
    """How many tags a provider stores, and how long they may be."""

    max_tags: int
    max_key_chars: int
    max_value_chars: int

    def check(self, tags: Tags) -> Pairs:
        """Return the tags, sorted, once it is known that they fit.

        Raises:
            InvalidInput: they do not; nothing that was cut could be found by them.
        """
        found = pairs(tags.to_mapping())
        if len(found) > self.max_tags:
            raise InvalidInput(f"{len(found)} tags, and {self.max_tags} are accepted")
        for key, value in found:
            if len(key) > self.max_key_chars or len(value) > self.max_value_chars:
                raise InvalidInput(f"the tag {key}={value} is longer than accepted")
        return found
