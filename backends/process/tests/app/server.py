"""What the tests deploy: answers with what it was told, or says that it is not well.

Plain sockets: importing http.server would take longer than everything else.
"""

import contextlib
import os
import pathlib
import socket
import sys
import threading

HERE = pathlib.Path(__file__).parent
MARK = (HERE / "mark").read_text()
FILES = {
    "/config.json": os.environ["IMMUTABLE_CONFIG"],
    "/identity.json": os.environ["IMMUTABLE_IDENTITY"],
    "/environment": "/proc/self/environ",
}


def answer(path: str) -> bytes:
    """Return the whole response to a request for a path."""
    status = "500 Sick" if MARK == "sick" and path == "/healthz" else "200 OK"
    body = pathlib.Path(FILES[path]).read_bytes() if path in FILES else MARK.encode()
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def serve(link: socket.socket) -> None:
    """Answer the requests of one connection, one after another."""
    with contextlib.suppress(OSError), link, link.makefile("rb") as lines:
        while request := lines.readline():
            headers = list(iter(lines.readline, b"\r\n"))
            link.sendall(answer(request.split()[1].decode()))
            if any(line.lower().startswith(b"connection: close") for line in headers):
                return


sys.stdout.write(f"{MARK} in {pathlib.Path.cwd()}\n")
sys.stdout.flush()
sys.stderr.write("\x1b[31mred\n")
with socket.create_server(("127.0.0.1", int(os.environ["PORT"])), backlog=128) as door:
    while True:
        connection, _ = door.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()
