"""Steady traffic from a process that knows nothing of the library.

    python client.py HOST PORT LOG REQUESTS_PER_SECOND

Half of the clients keep their connection, half open a fresh one for each request. Each
answer is a line in the log: when its request was sent and the answer complete (seconds
of CLOCK_MONOTONIC), the status (0: no answer), the mark in the configuration of the
release that answered, and an error.
"""

import http.client
import json
import signal
import sys
import threading
import time
from typing import TextIO

CLIENTS = 6
_PATIENCE_S = 20.0
_OK = 200


class Client(threading.Thread):
    """Sends requests one after another, at a steady pace."""

    def __init__(
        self, address: tuple[str, int], log: TextIO, pause_s: float, *, is_kept: bool
    ) -> None:
        super().__init__(daemon=True)
        self._address, self._log, self._pause_s = address, log, pause_s
        self._is_kept = is_kept
        self._link: http.client.HTTPConnection | None = None

    def run(self) -> None:
        """Send until the process is told to end."""
        due = time.monotonic()
        while not stopping.is_set():
            sent = time.monotonic()
            status, mark, error = self._try()
            line = f"{sent:.6f} {time.monotonic():.6f} {status} {mark} {error}\n"
            with writing:
                self._log.write(line)
            due = max(due + self._pause_s, time.monotonic() - self._pause_s)
            stopping.wait(max(due - time.monotonic(), 0))

    def _try(self) -> tuple[int, str, str]:
        try:
            return self._ask()
        except (OSError, ValueError, http.client.HTTPException) as exc:
            self._hang_up()
            return 0, "-", f"{type(exc).__name__}:{exc}".replace(" ", "_")

    def _ask(self) -> tuple[int, str, str]:
        link = self._link = self._link or http.client.HTTPConnection(
            *self._address, timeout=_PATIENCE_S
        )
        headers = {} if self._is_kept else {"Connection": "close"}
        link.request("GET", "/config.json", headers=headers)
        answer = link.getresponse()
        body = answer.read()
        if not self._is_kept or answer.will_close:
            self._hang_up()
        if answer.status != _OK:
            return answer.status, "-", body[:60].decode().replace(" ", "_").strip()
        return answer.status, json.loads(body)["configuration"]["mark"], "-"

    def _hang_up(self) -> None:
        if self._link is not None:
            self._link.close()
        self._link = None


stopping = threading.Event()
writing = threading.Lock()


def main(host: str, port: str, path: str, rate: str) -> None:
    """Send traffic until told to stop."""
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    pause_s = CLIENTS / float(rate)
    with open(path, "w", buffering=1, encoding="utf-8") as log:  # noqa: PTH123 - pathlib is slow to load
        clients = [
            Client((host, int(port)), log, pause_s, is_kept=number % 2 == 0)
            for number in range(CLIENTS)
        ]
        for client in clients:
            client.start()
        stopping.wait()
        for client in clients:
            client.join(_PATIENCE_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
