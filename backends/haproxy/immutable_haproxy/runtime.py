"""A conversation with HAProxy over its runtime socket."""

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from immutable_haproxy.errors import Refusal, Silence

_PATIENCE = timedelta(seconds=10)
_PROMPT = b"\n> "
_CHUNK = 65536
_MAX_PATH_BYTES = 100


class Conversation:
    """One connection; each command is answered before the next question is asked."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._unread = b""

    def ask(self, *commands: str) -> list[str]:
        """Send commands in one go and return their answers in order.

        Raises:
            Silence: it broke, or nothing came; the commands may have taken effect.
        """
        try:
            self._connection.sendall("".join(f"{line}\n" for line in commands).encode())
            return [self._answer() for _ in commands]
        except OSError as exc:
            raise Silence(str(exc) or type(exc).__name__) from exc

    def tell(self, *commands: str, saying: str = "") -> None:
        """Send commands that answer nothing, or a line that contains ``saying``.

        Raises:
            Refusal: an answer was different; later commands were sent all the same.
            Silence: as for `ask`.
        """
        for command, answer in zip(commands, self.ask(*commands), strict=True):
            if answer and not (saying and saying in answer):
                raise Refusal(command, answer)

    def _answer(self) -> str:
        while _PROMPT not in self._unread:
            received = self._connection.recv(_CHUNK)
            if not received:
                raise Silence("it closed the connection")
            self._unread += received
        answer, self._unread = self._unread.split(_PROMPT, 1)
        return answer.decode("utf-8", "replace").strip("\n ")


@contextmanager
def conversation(path: Path) -> Iterator[Conversation]:
    """Open a conversation.

    Raises:
        Silence: nobody answers there.
    """
    with socket.socket(
        socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC
    ) as link:
        link.settimeout(_PATIENCE.total_seconds())
        talk = Conversation(link)
        try:
            _connect(link, path)
        except OSError as exc:
            raise Silence(str(exc)) from exc
        talk.ask("prompt")
        yield talk


def _connect(link: socket.socket, path: Path) -> None:
    if len(os.fsencode(path)) <= _MAX_PATH_BYTES:
        link.connect(str(path))
        return
    # The kernel takes 107 bytes; the directory's descriptor stands for the rest.
    number = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        link.connect(f"/proc/self/fd/{number}/{path.name}")
    finally:
        os.close(number)


def payloads(lines: Sequence[str], *, limit_bytes: int = 8000) -> list[str]:
    """Return lines in blocks that fit HAProxy's buffer of 16 KiB."""
    blocks: list[str] = []
    for line in lines:
        if not blocks or len(blocks[-1]) + len(line) > limit_bytes:
            blocks.append("")
        blocks[-1] += line
    return blocks
