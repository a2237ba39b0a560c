"""Text that instances wrote, made safe to show, and cut."""

import re

# A terminal obeys control characters, so an instance could write to whoever reads its log.
# Lines end in \r\n on a serial port; a lone \r would overwrite what stands before it.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


def harmless(text: str) -> str:
    """Return text in which nothing but newline and tab controls a terminal."""
    return _CONTROL.sub(
        lambda found: found.group().encode("unicode_escape").decode("ascii"),
        text.replace("\r\n", "\n"),
    )


def ending(text: str, limit_bytes: int) -> str:
    """Return the end of a text: at most so many bytes of UTF-8, no character cut."""
    data = text.encode("utf-8", errors="replace")
    kept = data[len(data) - limit_bytes :] if limit_bytes < len(data) else data
    return kept.decode("utf-8", errors="ignore")
