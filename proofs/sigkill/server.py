"""One instance of a fleet: a process of its own that answers with its configuration.

    python server.py DIRECTORY REQUEST

The request is JSON: the name, the fleet, the tags, the port, the document, and how long
to dawdle before coming to be. It takes an address of its own and writes down what it is
before it says ``ready``; so it comes to be even when whoever asked for it has died. Its
file stays locked while it lives. Runs on the standard library alone: it starts in a few
milliseconds.
"""

import contextlib
import fcntl
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

_NETWORK = "127.83"
_HOSTS = range(1, 254 * 254)
_BACKLOG = 128


def main(directory: Path, request: str) -> None:
    """Become an instance, unless one of that name is there."""
    if os.fork():
        return
    os.setsid()
    wanted = json.loads(request)
    time.sleep(float(wanted["dawdle_s"]))
    path = directory / f"{wanted['name']}.json"
    listener = take_place(directory, path, wanted)
    say("ready" if listener else "taken")
    if listener is None:
        return
    let_go_of_output()
    document = wanted["document"].encode()
    while True:
        link, _ = listener.accept()
        threading.Thread(target=serve, args=(link, document), daemon=True).start()


def take_place(
    directory: Path, path: Path, wanted: dict[str, object]
) -> socket.socket | None:
    """Listen, and write down where, in one step; None when the name is taken."""
    draft = directory / f".{path.name}.{os.getpid()}"
    with locked(directory / ".addresses"), draft.open("x") as file:
        fcntl.flock(os.dup(file.fileno()), fcntl.LOCK_EX)
        listener, address = listen(directory, int(str(wanted["port"])))
        facts = {key: wanted[key] for key in ("name", "fleet", "tags")}
        now = datetime.now(UTC).isoformat()
        facts |= {"address": address, "launched_at": now, "pid": os.getpid()}
        file.write(json.dumps(facts))
        file.flush()
        try:
            path.hardlink_to(draft)
        except FileExistsError:
            return None
        finally:
            draft.unlink()
    return listener


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep others out who give out addresses."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def listen(directory: Path, port: int) -> tuple[socket.socket, str]:
    """Listen on the next loopback address that no instance has."""
    used = {json.loads(p.read_text())["address"] for p in directory.glob("[!.]*.json")}
    counter = directory / ".last"
    last = int(counter.read_text()) if counter.exists() else 0
    for step in _HOSTS:
        number = (last + step) % len(_HOSTS)
        address = f"{_NETWORK}.{number // 254}.{number % 254 + 1}"
        with contextlib.suppress(OSError):
            if address not in used:
                listener = socket.create_server((address, port), backlog=_BACKLOG)
                counter.write_text(str(number))
                return listener, address
    raise OSError("every address is taken")


def serve(link: socket.socket, document: bytes) -> None:
    """Answer the requests of one connection, one after another."""
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(document)}\r\n\r\n".encode()
    with contextlib.suppress(OSError), link, link.makefile("rb") as lines:
        while lines.readline():
            headers = list(iter(lines.readline, b"\r\n"))
            # one segment: a header sent alone would wait for a delayed ACK
            link.sendall(head + document)
            if any(line.lower().startswith(b"connection: close") for line in headers):
                return


def say(word: str) -> None:
    """Tell whoever asked for this instance, if they still live."""
    with contextlib.suppress(OSError):
        os.write(1, f"{word}\n".encode())


def let_go_of_output() -> None:
    """Let whoever reads our output see its end."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 1)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
