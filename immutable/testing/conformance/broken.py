"""What a case raises: the clause that is broken, what was expected, what was seen."""

_LIMIT = 600


class Broken(AssertionError):
    """A backend does not keep a clause of the contract.

    Args:
        case: the name of the case that found it.
        clause: the clause, as `immutable.protocols` has it.
        expected: what should have been.
        seen: what was there instead.
    """

    def __init__(self, case: str, clause: str, *, expected: str, seen: object) -> None:
        self.case = case
        self.clause = clause
        self.expected = expected
        self.seen = shorten(seen)
        super().__init__(
            f"{case}\n  contract: {clause}\n  expected: {expected}\n  seen:     {self.seen}"
        )


def shorten(value: object) -> str:
    """Return a value in words that fit a terminal."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _LIMIT else f"{text[:_LIMIT]}…"
