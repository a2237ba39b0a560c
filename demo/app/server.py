"""The demo's shop: says which version it is, on every answer."""

import json
import os
import pathlib
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

HERE = pathlib.Path(__file__).parent
VERSION = (HERE / "version").read_text().strip()
MOOD = (HERE / "mood").read_text().strip()
GREETING = (HERE / "greeting").read_text().strip()


class Shop(BaseHTTPRequestHandler):
    """Answers /healthz, /version and everything else."""

    protocol_version = "HTTP/1.1"
    # one segment for each answer: a header sent alone waits for the client's delayed ACK
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """Answer a request."""
        sick = self.path == "/healthz" and MOOD == "sick"
        body = json.dumps({"greeting": GREETING, "version": VERSION}).encode() + b"\n"
        self.send_response(500 if sick else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Version", VERSION)
        self.send_header("X-Instance", socket.gethostname())
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""


class Server(ThreadingHTTPServer):
    """Accepts bursts."""

    request_queue_size = 128
    daemon_threads = True


if __name__ == "__main__":
    port = int(os.environ.get("PORT", "8080"))
    print(f"shop {VERSION} is {MOOD}, on port {port}", flush=True)
    if MOOD == "sick":
        print(
            "shop: cannot find its price list, will never be healthy",
            file=sys.stderr,
            flush=True,
        )
    Server(("", port), Shop).serve_forever()
