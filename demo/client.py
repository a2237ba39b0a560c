"""Steady traffic from a process that knows nothing of the library.

    python -m demo.client HOST PORT LOG [REQUESTS_PER_SECOND]

Half of the requests share connections that are kept alive, half open a fresh one. Each
answer is a line in the log: when it was sent and received (CLOCK_MONOTONIC seconds), its
status (0: no answer), the version that answered, and an error.
"""

import http.client
import signal
import sys
import threading
import time
from typing import TextIO

WORKERS = 8
TIMEOUT_S = 20.0


class Worker(threading.Thread):
    """Sends requests one after another, at a steady pace."""

    def __init__(
        self, address: tuple[str, int], log: TextIO, pause_s: float, *, keep: bool
    ) -> None:
        super().__init__(daemon=True)
        self._address = address
        self._log = log
        self._pause_s = pause_s
        self._keep = keep
        self._connection: http.client.HTTPConnection | None = None

    def run(self) -> None:
        """Send until the process ends."""
        due = time.monotonic()
        while not stopping.is_set():
            self._once()
            due = max(due + self._pause_s, time.monotonic() - 1)
            time.sleep(max(due - time.monotonic(), 0))

    def _once(self) -> None:
        sent = time.monotonic()
        try:
            status, version, error = self._ask()
        except (OSError, http.client.HTTPException) as exc:
            status, version, error = 0, "-", type(exc).__name__
            self._close()
        received = time.monotonic()
        with writing:
            self._log.write(f"{sent:.6f} {received:.6f} {status} {version} {error}\n")

    def _ask(self) -> tuple[int, str, str]:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(
                *self._address, timeout=TIMEOUT_S
            )
        self._connection.request(
            "GET", "/", headers={} if self._keep else {"Connection": "close"}
        )
        answer = self._connection.getresponse()
        answer.read()
        if not self._keep or answer.will_close:
            self._close()
        return answer.status, answer.headers.get("X-Version", "-"), "-"

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None


stopping = threading.Event()
writing = threading.Lock()


def main(host: str, port: str, path: str, rate: str = "40") -> None:
    """Send traffic until told to stop."""
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with open(path, "w", buffering=1) as log:  # noqa: PTH123 - knows nothing of the library
        pause_s = WORKERS / float(rate)
        workers = [
            Worker((host, int(port)), log, pause_s, keep=n % 2 == 0)
            for n in range(WORKERS)
        ]
        for worker in workers:
            worker.start()
        stopping.wait()
        for worker in workers:
            worker.join(TIMEOUT_S)


if __name__ == "__main__":
    main(*sys.argv[1:])
