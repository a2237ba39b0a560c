"""Text that came from outside, made safe to print, log and keep in the ledger."""


def excerpt(text: str, *, limit: int) -> str:
    """Return at most ``limit`` characters of a text, on one line.

    Whatever does not print (control characters, escape sequences, direction marks, line
    breaks) becomes a space, so that no text can forge a line or colour a terminal.
    """
    # Cut first: what is scanned must be bounded too.
    head = text[: 4 * limit]
    line = " ".join("".join(c if c.isprintable() else " " for c in head).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
