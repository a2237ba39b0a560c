"""What most backends need: names that fit, tags, waits, batched reads, error translation.

Functions and small values to call, nothing to inherit. Fleets of single servers are in
`immutable.fleets`.
"""

from immutable.authoring.batching import BatchedReads, RateBudget
from immutable.authoring.naming import NameRules
from immutable.authoring.tagging import (
    TagRules,
    is_tagged,
    tags_from_text,
    tags_to_text,
)
from immutable.authoring.translating import Meaning, translated
from immutable.authoring.waiting import wait_until

__all__ = [
    "BatchedReads",
    "Meaning",
    "NameRules",
    "RateBudget",
    "TagRules",
    "is_tagged",
    "tags_from_text",
    "tags_to_text",
    "translated",
    "wait_until",
]
