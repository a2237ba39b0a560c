"""Progress as plain lines, for logs of CI and for pipes."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import TextIO

from immutable.display.words import spell
from immutable.events import Event


@contextlib.contextmanager
def plain_progress(stream: TextIO | None = None) -> Iterator[Callable[[Event], None]]:
    """Yield a listener that writes a line for each event worth one."""
    out = stream or sys.stderr

    def show(event: Event) -> None:
        if line := spell(event):
            out.write(f"{event.at:%H:%M:%S} {line}\n")
            out.flush()

    yield show
