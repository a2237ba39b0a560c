"""Long values in few words, for people who print them: the values themselves stay whole."""

_SHOWN = 3


def few(values: tuple[object, ...]) -> str:
    """Return the representation of a tuple: its first members, and how many more there are."""
    if len(values) <= _SHOWN:
        return repr(values)
    shown = ", ".join(map(repr, values[:_SHOWN]))
    return f"({shown}, <{len(values) - _SHOWN} more>)"


def count(number: int, noun: str) -> str:
    """Return a number with its noun, ``"1 package"`` or ``"2 packages"``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
