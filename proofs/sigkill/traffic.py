"""The client as a process, and the judgement of every answer that it got."""

import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import attrs

_CLIENT = Path(__file__).with_name("client.py")
_PATIENCE_S = 30.0
_OK = 200
_EXAMPLES = 10


@attrs.frozen(kw_only=True)
class Window:
    """From when on which releases may answer; it lasts until the next one begins."""

    began: float
    marks: frozenset[str]
    what: str


@attrs.define
class Judge:
    """Judges answers by the windows that their requests were open in."""

    windows: list[Window] = attrs.field(factory=list)
    sent: int = 0
    failed: int = 0
    strange: int = 0
    examples: list[str] = attrs.field(factory=list)

    def allow(self, began: float, marks: Iterable[str], what: str) -> None:
        """Say which releases may answer from a time on, judged or not yet."""
        self.windows.append(Window(began=began, marks=frozenset(marks), what=what))

    def hear(self, line: str) -> None:
        """Judge one answer, given all windows up to its end."""
        sent, received, status, mark, error = line.split(" ")
        open_in = list(self._open(float(sent), float(received)))
        self.sent += 1
        if int(status) != _OK:
            self.failed += 1
            self._note(f"failed with {status} {error}", open_in)
        elif not any(mark in window.marks for window in open_in):
            self.strange += 1
            self._note(f"answered by {mark}", open_in)

    def _open(self, sent: float, received: float) -> Iterator[Window]:
        end = float("inf")
        for window in reversed(self.windows):
            if end < sent:
                return
            if window.began <= received:
                yield window
            end = window.began

    def _note(self, what: str, windows: list[Window]) -> None:
        if len(self.examples) < _EXAMPLES:
            when = "; ".join(f"{w.what} ({'/'.join(sorted(w.marks))})" for w in windows)
            self.examples.append(f"a request {what} during {when}")


class Traffic:
    """Sends steady traffic while it is open."""

    def __init__(self, address: str, log: Path, *, per_second: int) -> None:
        host, _, port = address.rpartition(":")
        self._log, self._read = log, 0
        self._argv = [sys.executable, "-I", str(_CLIENT), host, port, str(log)]
        self._argv.append(str(per_second))

    def __enter__(self) -> Self:
        """Start the client, and return when it gets answers."""
        self._process = subprocess.Popen(self._argv)
        deadline = time.monotonic() + _PATIENCE_S
        while not (self._log.exists() and self._log.read_text().count("\n")):
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise RuntimeError("the client does not start")
            time.sleep(0.02)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End the client, after its last answers."""
        self._process.terminate()
        self._process.wait(_PATIENCE_S)

    def answers(self) -> list[str]:
        """Return the lines that were written since the last call."""
        with self._log.open(encoding="utf-8") as log:
            log.seek(self._read)
            text = log.read().rpartition("\n")[0]
        self._read += len(text.encode()) + bool(text)
        return text.splitlines()
