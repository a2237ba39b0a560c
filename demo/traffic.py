"""The client as a process, and the judgement of what it saw."""

import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import attrs

from immutable.events import Event, Shifted

_GRACE_S = 30


@attrs.frozen(kw_only=True)
class Answer:
    """One request: when it was sent and received, and who answered."""

    sent: float
    received: float
    status: int
    version: str
    error: str


@attrs.frozen(kw_only=True)
class Move:
    """Traffic moved: between these two instants either version may answer."""

    begun: float
    acknowledged: float
    version: str


class Traffic:
    """Sends steady traffic while it is open."""

    def __init__(self, host: str, port: int, log: Path, *, per_second: int) -> None:
        self._log = log
        self._argv = [sys.executable, "-m", "demo.client", host, str(port), str(log)]
        self._argv.append(str(per_second))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start the client."""
        self._process = subprocess.Popen(self._argv)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the client and wait for its last answers."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_GRACE_S)

    def answers(self) -> tuple[Answer, ...]:
        """Return every request so far."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return tuple(_answer(line) for line in lines if line.count(" ") == 4)  # noqa: PLR2004


class Moves:
    """Remembers when traffic moved, from the library's own events."""

    def __init__(self) -> None:
        self.moves: list[Move] = []
        self.version = ""

    def listen(self, event: Event) -> None:
        """Note a shift; the version is the one that is being deployed."""
        if isinstance(event, Shifted):
            now = time.monotonic()
            begun = now - event.took / timedelta(seconds=1)
            self.moves.append(Move(begun=begun, acknowledged=now, version=self.version))


def failed(answers: tuple[Answer, ...]) -> tuple[Answer, ...]:
    """Return the requests without a good answer."""
    return tuple(answer for answer in answers if answer.status != 200)  # noqa: PLR2004


def wrong(answers: tuple[Answer, ...], moves: list[Move]) -> tuple[Answer, ...]:
    """Return the answers by a version that had no traffic while the request was open."""
    good = (answer for answer in answers if answer.status == 200)  # noqa: PLR2004
    return tuple(
        answer for answer in good if answer.version not in _allowed(answer, moves)
    )


def _allowed(answer: Answer, moves: list[Move]) -> set[str]:
    """Return the versions live at any time between sending and receiving."""
    versions = set()
    for move, following in zip(moves, [*moves[1:], None], strict=True):
        ended = following.acknowledged if following else float("inf")
        if move.begun <= answer.received and answer.sent <= ended:
            versions.add(move.version)
    return versions


def _answer(line: str) -> Answer:
    sent, received, status, version, error = line.split(" ")
    return Answer(
        sent=float(sent),
        received=float(received),
        status=int(status),
        version=version,
        error=error,
    )
