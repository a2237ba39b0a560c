"""Names that a provider accepts: cut to length, and never two names made one."""

import re

import attrs

from immutable.errors import InvalidInput
from immutable.model import digest_of

_DIGEST_CHARS = 6


@attrs.frozen(kw_only=True)
class NameRules:
    """What a provider accepts as the name of one kind of resource.

        rules = NameRules(max_chars=32)
        rules.fit("shop-v12-3f9a1c")

    Args:
        max_chars: the longest name.
        min_chars: the shortest.
        pattern: a regular expression that a whole name must match.
        other: what stands for a character that is not allowed.
    """

    max_chars: int
    min_chars: int = 1
    pattern: str = "[a-z]([a-z0-9-]*[a-z0-9])?"
    other: str = "-"

    def accepts(self, name: str) -> bool:
        """Return whether a name can be used as it is."""
        fits = self.min_chars <= len(name) <= self.max_chars
        return fits and re.fullmatch(self.pattern, name) is not None

    def fit(self, name: str) -> str:
        """Return the name, or where it is not accepted its beginning and a digest of it.

        Different names give different ones, also in providers that compare without case.

        Raises:
            InvalidInput: no name can be made of it that the rules accept.
        """
        if self.accepts(name) and name == name.lower():
            return name
        stem = "".join(c if c.isascii() and c.isalnum() else self.other for c in name)
        digest = digest_of("name", name)[:_DIGEST_CHARS]
        room = self.max_chars - len(self.other) - _DIGEST_CHARS
        kept = stem.lower()[: max(room, 0)].rstrip(self.other)
        fitted = f"{kept}{self.other}{digest}"
        if not self.accepts(fitted):
            raise InvalidInput(
                f"no name can be made of {name!r}",
                hint=f"names match {self.pattern}, {self.min_chars} to {self.max_chars} long",
            )
        return fitted
