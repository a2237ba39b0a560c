import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import immutable
from immutable.testing import conformance


class Shop(BaseHTTPRequestHandler):
    """Answers well or badly, as its server is."""

    def do_GET(self) -> None:
        self.send_response(200 if self.server.is_good else 500)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"shop")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """Is well."""

    is_good = True


class Ill(Server):
    """Is not."""

    is_good = False


@pytest.fixture(scope="module")
def urls() -> Iterator[list[str]]:
    """Start a server that is well and one that is not."""
    servers = [kind(("127.0.0.1", 0), Shop) for kind in (Server, Ill)]
    for server in servers:
        threading.Thread(target=server.serve_forever, daemon=True).start()
    yield [f"http://127.0.0.1:{server.server_port}" for server in servers]
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def validator_subject(urls: list[str]) -> conformance.ValidatorSubject:
    """Return the library's own HTTP validator."""
    return conformance.ValidatorSubject(
        validator=immutable.http("/", contains="shop", timeout="1s"),
        good=urls[0],
        bad=urls[1],
        patience="5s",
        name="http",
    )


test_http = conformance.validator_cases()
