"""What people write into the catalogue: names of channels, and reasons."""

import re

from immutable.errors import InvalidInput

_CHANNEL = re.compile(r"[a-z0-9][a-z0-9-]{0,38}/[a-z0-9][a-z0-9-]{0,38}")
_REASON_CHARS = 500


def check_channel_name(name: object) -> str:
    """Return the name of a channel, such as ``shop/stable``.

    Raises:
        InvalidInput: it is something else.
    """
    if not isinstance(name, str) or not _CHANNEL.fullmatch(name):
        raise InvalidInput(
            f"channel {name!r:.80} cannot be named so",
            hint='write two words of a-z, 0-9 and hyphens, as in "shop/stable"',
        )
    return name


def check_reason(reason: object) -> str | None:
    """Return a reason that somebody will be able to read later; None stays None.

    Raises:
        InvalidInput: it is empty, too long, or no plain text.
    """
    if reason is None:
        return None
    return check_given_reason(reason)


def check_given_reason(reason: object) -> str:
    """Return a reason, as `check_reason` does, where there has to be one.

    Raises:
        InvalidInput: there is none, or it cannot be read.
    """
    text = isinstance(reason, str) and reason.strip() and reason.isprintable()
    if not isinstance(reason, str) or not text or len(reason) > _REASON_CHARS:
        raise InvalidInput(
            f"{reason!r:.80} is no reason that can be kept",
            hint=f"write a line of at most {_REASON_CHARS} characters",
        )
    return reason
