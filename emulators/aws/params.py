"""The parameters of a call, as botocore's model of the service has read them."""

from collections.abc import Mapping, Sequence

import attrs


@attrs.frozen
class Params:
    """Parameters by name; what is missing or of another type reads as nothing."""

    values: Mapping[str, object]

    def __contains__(self, name: str) -> bool:
        return self.values.get(name) is not None

    def text(self, name: str, default: str = "") -> str:
        """Return a string."""
        value = self.values.get(name)
        return default if value is None else str(value)

    def number(self, name: str) -> int | None:
        """Return an integer."""
        value = self.values.get(name)
        return None if value is None else int(str(value))

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Return a boolean."""
        value = self.values.get(name)
        return default if value is None else str(value).lower() == "true"

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of strings."""
        return tuple(str(each) for each in self._list(name))

    def bag(self, name: str) -> "Params":
        """Return a structure."""
        value = self.values.get(name)
        return Params(value if isinstance(value, Mapping) else {})

    def bags(self, name: str) -> "tuple[Params, ...]":
        """Return a list of structures."""
        return tuple(Params(e) for e in self._list(name) if isinstance(e, Mapping))

    def _list(self, name: str) -> Sequence[object]:
        value = self.values.get(name)
        return value if isinstance(value, list | tuple) else ()
