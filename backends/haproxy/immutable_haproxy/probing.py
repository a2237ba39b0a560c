"""How HAProxy is told to probe a server: the same words in its file and at run time."""

from datetime import timedelta

from immutable_haproxy.config import Probing


def milliseconds(value: timedelta) -> str:
    """Return a time as HAProxy reads it."""
    return f"{max(1, round(value / timedelta(milliseconds=1)))}ms"


def check_words(port: int, probing: Probing) -> str:
    """Return the words that make HAProxy probe a server.

    They are written out for each server: those that are added while HAProxy runs do not
    inherit ``default-server``.
    """
    fast = milliseconds(probing.fast)
    return (
        f"check port {port} inter {milliseconds(probing.interval)} fastinter {fast}"
        f" downinter {fast} rise {probing.rise} fall {probing.fall}"
    )
