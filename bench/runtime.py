"""A bare conversation with HAProxy: what a script would write to its socket."""

import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.figures import CannotMeasure

MAP = "routing.map"
_PROMPT = b"\n> "
_CHUNK = 1 << 16


class Runtime:
    """One connection to the runtime socket, closed at the end of a ``with`` block."""

    def __init__(self, path: Path) -> None:
        self._link = socket.socket(socket.AF_UNIX)
        self._link.connect(str(path))
        self.ask("prompt")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._link.close()

    def ask(self, command: str) -> str:
        """Send one command and return its answer."""
        self._link.sendall(f"{command}\n".encode())
        answer = b""
        while not answer.endswith(_PROMPT):
            received = self._link.recv(_CHUNK)
            if not received:
                raise CannotMeasure(f"HAProxy hung up after {command:.40}")
            answer += received
        return answer.removesuffix(_PROMPT).decode().strip()

    def prepare_map(self, entries: str) -> str:
        """Fill a new version of the map, unseen, and return its number."""
        number = self.ask(f"prepare map {MAP}").rpartition(" ")[2]
        self.ask(f"add map @{number} {MAP} <<\n{entries}")
        return number

    def commit_map(self, number: str) -> None:
        """Make a version of the map the one that is served."""
        self.ask(f"commit map @{number} {MAP}")
