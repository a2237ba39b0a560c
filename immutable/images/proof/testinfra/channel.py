"""What pytest and the check say to each other: one JSON value in each line, over a socket.

pytest runs in a process of its own and asks for each command; only the check knows how to
run one in the image.
"""

import base64
import json
import socket
from typing import Literal

import attrs

from immutable.images.proof.places import Ran

VARIABLE = "IMMUTABLE_PROOF_CHANNEL"
"""Names the descriptor of the socket in pytest's environment."""
OUTPUT_LIMIT_BYTES = 16 << 20
"""No command may say more."""
LINE_LIMIT_BYTES = 2 * OUTPUT_LIMIT_BYTES
_PIECE_BYTES = 64 << 10

Outcome = Literal["passed", "failed", "skipped", "undecided"]
OUTCOMES: tuple[Outcome, ...] = ("passed", "failed", "skipped", "undecided")


@attrs.frozen(kw_only=True)
class Wanted:
    """A shell command that a test wants to be run."""

    command: str


@attrs.frozen(kw_only=True)
class Reported:
    """What became of a test."""

    test: str
    outcome: Outcome
    detail: str = ""


@attrs.frozen(kw_only=True)
class Finished:
    """pytest came to its own end; without this, a test may have ended it."""


@attrs.frozen(kw_only=True)
class Trouble:
    """Why a command could not be run."""

    reason: str


class Closed(Exception):
    """The other side has gone."""


class Lines:
    """A connected socket that carries lines; each wait ends at the socket's timeout."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._left = bytearray()

    def send(self, value: dict[str, str | int]) -> None:
        """Send one value."""
        self.connection.sendall(json.dumps(value).encode() + b"\n")

    def receive(self) -> dict[str, object]:
        """Return the next value.

        Raises:
            Closed: there is none.
            ValueError: it is none, or too long.
        """
        while b"\n" not in self._left:
            piece = self.connection.recv(_PIECE_BYTES)
            if not piece:
                raise Closed
            self._left += piece
            if len(self._left) > LINE_LIMIT_BYTES:
                raise ValueError("a line is too long")
        line, _, rest = bytes(self._left).partition(b"\n")
        self._left = bytearray(rest)
        value = json.loads(line)
        if not isinstance(value, dict):
            raise TypeError(f"{value!r:.80} is no message")
        return value


def ask(lines: Lines, command: str) -> Ran | Trouble:
    """Have a command run, and return what became of it; this is pytest's side."""
    lines.send({"command": command})
    answer = lines.receive()
    if "trouble" in answer:
        return Trouble(reason=str(answer["trouble"]))
    return Ran(
        status=int(str(answer["status"])),
        stdout=base64.b64decode(str(answer["stdout"])),
        stderr=base64.b64decode(str(answer["stderr"])),
    )


def report(lines: Lines, found: Reported) -> None:
    """Tell what became of a test; this is pytest's side."""
    lines.send({"test": found.test, "outcome": found.outcome, "detail": found.detail})


def finish(lines: Lines) -> None:
    """Tell that all tests are done; this is pytest's side."""
    lines.send({"finished": 1})


def answer(lines: Lines, found: Ran | Trouble) -> None:
    """Answer a wanted command; this is the check's side."""
    if isinstance(found, Trouble):
        lines.send({"trouble": found.reason})
        return
    lines.send(
        {
            "status": found.status,
            "stdout": base64.b64encode(found.stdout).decode(),
            "stderr": base64.b64encode(found.stderr).decode(),
        }
    )


def heard(lines: Lines) -> Wanted | Reported | Finished:
    """Return what pytest says next; this is the check's side.

    Raises:
        Closed: pytest has ended.
        TimeoutError: it says nothing in time.
        ValueError, TypeError, KeyError: it says something else.
    """
    value = lines.receive()
    if "command" in value:
        return Wanted(command=str(value["command"]))
    if "finished" in value:
        return Finished()
    known = {outcome: outcome for outcome in OUTCOMES}
    return Reported(
        test=str(value["test"]),
        outcome=known[str(value["outcome"])],  # type: ignore[index]  # a stranger raises KeyError
        detail=str(value["detail"]),
    )
