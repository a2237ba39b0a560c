"""Backend, switch and ledger addresses: ``scheme://host/path?option=value``."""

from urllib.parse import parse_qsl, urlsplit

import attrs

from immutable.errors import InvalidInput
from immutable.model import pairs

_SECRETS = frozenset({"password", "secret", "token", "key", "api_key", "access_key"})


@attrs.frozen(kw_only=True)
class Url:
    """A parsed address. Options keep the order of their names; secrets are refused."""

    scheme: str
    host: str = ""
    path: str = ""
    options: tuple[tuple[str, str], ...] = attrs.field(default=(), converter=pairs)

    @classmethod
    def parse(cls, text: str) -> "Url":
        """Parse an address.

        Raises:
            InvalidInput: it has no scheme, repeats an option, or holds a secret.
        """
        parts = urlsplit(text)
        if not parts.scheme:
            raise InvalidInput(f"{text!r} is no URL", hint="write it as scheme://…")
        options = parse_qsl(parts.query, keep_blank_values=True)
        _check(text, parts.password, [name for name, _ in options])
        return cls(
            scheme=parts.scheme, host=parts.netloc, path=parts.path, options=options
        )

    def option(self, name: str, default: str) -> str:
        """Return an option's value, or the default when it is not given."""
        return dict(self.options).get(name, default)

    def require_known(self, *names: str) -> None:
        """Refuse options that nobody would read.

        Raises:
            InvalidInput: naming the strangers and what is known.
        """
        strangers = sorted({name for name, _ in self.options} - set(names))
        if strangers:
            raise InvalidInput(
                f"{self.scheme}: unknown option {', '.join(strangers)}",
                hint=f"known are {', '.join(sorted(names))}",
            )

    def __str__(self) -> str:
        """Return the address as it would be typed."""
        query = "&".join(f"{name}={value}" for name, value in self.options)
        return f"{self.scheme}://{self.host}{self.path}" + (
            f"?{query}" if query else ""
        )


def _check(text: str, password: str | None, names: list[str]) -> None:
    if password or _SECRETS & {name.lower() for name in names}:
        raise InvalidInput(
            "a URL must not hold a secret", hint="use the provider's own credentials"
        )
    if len(set(names)) != len(names):
        raise InvalidInput(f"{text!r} gives an option twice", hint="give it once")
