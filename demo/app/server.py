"""The demo's shop: says which version it is, on every answer.

A plain socket server, of modules that python3-minimal has: under software emulation,
importing http.server alone would take a second of every boot.
"""

import contextlib
import os
import socket
import sys
import threading

HERE = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - pathlib is slow to load
REASONS = {200: "OK", 500: "Internal Server Error"}


def read(name: str) -> str:
    """Return a fact that was put into the image beside this file."""
    with open(os.path.join(HERE, name)) as stream:  # noqa: PTH118, PTH123 - as above
        return stream.read().strip()


VERSION, MOOD, GREETING = read("version"), read("mood"), read("greeting")
BODY = f'{{"greeting": "{GREETING}", "version": "{VERSION}"}}\n'.encode()


def answer(path: str) -> bytes:
    """Return the whole response to a request for a path."""
    status = 500 if MOOD == "sick" and path == "/healthz" else 200
    head = (
        f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(BODY)}\r\nX-Version: {VERSION}\r\n"
        f"X-Instance: {socket.gethostname()}\r\n\r\n"
    )
    # one segment: a header sent alone would wait for the client's delayed ACK
    return head.encode() + BODY


def serve(connection: socket.socket) -> None:
    """Answer the requests of one connection, one after another."""
    with contextlib.suppress(OSError), connection, connection.makefile("rb") as lines:
        while request := lines.readline():
            headers = list(iter(lines.readline, b"\r\n"))
            connection.sendall(answer(request.split()[1].decode()))
            if any(line.lower().startswith(b"connection: close") for line in headers):
                return


def main() -> None:
    """Serve for ever."""
    host, port = os.environ.get("HOST", ""), int(os.environ.get("PORT", "8080"))
    print(f"shop {VERSION} is {MOOD}, on port {port}", flush=True)
    if MOOD == "sick":
        print(
            "cannot find its price list: will never be healthy",
            file=sys.stderr,
            flush=True,
        )
    listener = socket.create_server((host, port), backlog=128)
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


if __name__ == "__main__":
    main()
