"""Examples that are shown by `help` beneath what a call takes; each of them runs in tests."""

import inspect
from collections.abc import Callable
from typing import TypeVar

_F = TypeVar("_F", bound=Callable[..., object])


def example(text: str) -> Callable[[_F], _F]:
    """Return a decorator that appends an example to a function's docstring.

    Args:
        text: as it would be typed, with ``>>>``; indented as the decorator is.
    """

    def show(function: _F) -> _F:
        # python -OO leaves no docstrings
        if function.__doc__ is not None:
            said = inspect.cleandoc(function.__doc__)
            function.__doc__ = f"{said}\n\nExample:\n{_indented(text)}\n"
        return function

    return show


def _indented(text: str) -> str:
    lines = inspect.cleandoc(text).splitlines()
    return "\n".join(f"    {line}" if line else "" for line in lines)
