import contextlib
import functools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from targets import target

from immutable.judging import Verdict, VerdictStatus
from immutable.validators import http, tcp
from immutable.validators.http import HttpValidator

PASSED, FAILED, UNDECIDED = VerdictStatus
LONG = timedelta(seconds=60)


class Server:
    """Answers each connection on a loopback port with the same bytes."""

    def __init__(self, answer: Callable[[socket.socket], None]) -> None:
        self.requests: list[bytes] = []
        self._answer = answer
        self._closing = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection, contextlib.suppress(OSError):
                if self._closing:
                    return
                self._read_request(connection)
                self._answer(connection)

    def _read_request(self, connection: socket.socket) -> None:
        request = b""
        while not request.endswith(b"\r\n\r\n"):
            piece = connection.recv(4096)
            if not piece:
                return
            request += piece
        self.requests.append(request)

    def close(self) -> None:
        """Stop serving; the thread is gone afterwards."""
        self._closing = True
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._thread.join()
        self._listener.close()


Serve = Callable[..., Server]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Return a function that starts a server saying what it is given."""
    with contextlib.ExitStack() as stack:

        def start(answer: bytes | Callable[[socket.socket], None]) -> Server:
            say = (lambda s: s.sendall(answer)) if isinstance(answer, bytes) else answer
            server = Server(say)
            stack.callback(server.close)
            return server

        yield start


def answer(
    body: bytes = b"", *, status: str = "200 OK", more: tuple[bytes, ...] = ()
) -> bytes:
    """Return a whole HTTP response."""
    head = [f"HTTP/1.1 {status}".encode(), b"Content-Length: %d" % len(body), *more]
    return b"\r\n".join([*head, b"", body])


def closed_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def drip(head: bytes) -> Callable[[socket.socket], None]:
    """Return an answer that never ends and never pauses long."""

    def send(connection: socket.socket) -> None:
        connection.sendall(head)
        while True:
            connection.sendall(b"x")
            time.sleep(0.01)

    return send


def endless(piece: bytes) -> Callable[[socket.socket], None]:
    """Return an answer that never ends and comes as fast as it can."""

    def send(connection: socket.socket) -> None:
        while True:
            connection.sendall(piece)

    return send


CHUNKED = b"""\
HTTP/1.1 200 OK\r
Transfer-Encoding: chunked\r
\r
4\r
shop\r
2\r
 v\r
0\r
\r
"""

# -- http: what passes and what fails


@pytest.mark.parametrize(
    ("sent", "validator", "status"),
    [
        (answer(b"shop v2"), http("/"), PASSED),
        (answer(status="204 No Content"), http("/"), FAILED),
        (answer(status="204 No Content"), http("/", status=range(200, 300)), PASSED),
        (answer(status="404 No"), http("/", status=(200, 404)), PASSED),
        (answer(b"shop v2"), http("/", contains="shop"), PASSED),
        (answer(b"shop v2"), http("/", contains="v3"), FAILED),
        (answer(b" v2\r\n"), http("/", equals="v2"), PASSED),
        (answer(b"v2 beta"), http("/", equals="v2"), FAILED),
        (answer(b""), http("/", equals=""), PASSED),
        (answer("Käse".encode()), http("/", equals="Käse"), PASSED),
        (answer(b"\xff\xfe"), http("/", contains="shop"), FAILED),
        (answer(b"v2 shop"), http("/", contains="shop", equals="v2 shop"), PASSED),
        (answer(b"v2 shop"), http("/", contains="shop", equals="v2"), FAILED),
        (
            CHUNKED,
            http("/", equals="shop v"),
            PASSED,
        ),
        (
            b"HTTP/1.0 200 OK\r\n\r\nshop until the end",
            http("/", contains="end"),
            PASSED,
        ),
    ],
)
def test_http_judges(
    serve: Serve,
    sent: bytes,
    validator: HttpValidator,
    status: VerdictStatus,
) -> None:
    """The status and the body decide, each as asked for."""
    assert validator(target(serve(sent).port)).status is status


def test_http_sends_route_headers(serve: Serve) -> None:
    """The route's headers are sent, once, and win over the caller's."""
    server = serve(answer())
    validator = http("/version?x=1", headers={"X-Preview": "mine", "Accept": "a/b"})
    verdict = validator(target(server.port, headers=(("x-preview", "theirs"),)))
    assert verdict.status is PASSED
    (request,) = server.requests
    lines = request.decode().split("\r\n")
    assert lines[0] == "GET /version?x=1 HTTP/1.1"
    assert sorted(lines[1:-2]) == [
        "Accept-Encoding: identity",
        "Accept: a/b",
        "Connection: close",
        f"Host: 127.0.0.1:{server.port}",
        "User-Agent: immutable",
        "x-preview: theirs",
    ]


def test_http_host_can_choose_the_route(serve: Serve) -> None:
    """A route that is chosen by Host gets that Host and no other."""
    server = serve(answer())
    http("/")(target(server.port, headers=(("Host", "preview.example"),)))
    (request,) = server.requests
    assert request.lower().count(b"host:") == 1
    assert b"Host: preview.example\r\n" in request


def test_http_ignores_proxies(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Proxies of the environment are not used."""
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    assert http("/")(target(serve(answer()).port)).status is PASSED


def test_http_follows_no_redirect(serve: Serve) -> None:
    """A redirect is a wrong status, and nobody goes where it points."""
    elsewhere = serve(answer())
    location = f"Location: http://127.0.0.1:{elsewhere.port}/".encode()
    server = serve(answer(status="302 Found", more=(location,)))
    verdict = http("/")(target(server.port))
    assert verdict.status is FAILED
    assert "302" in verdict.evidence
    assert not elsewhere.requests


def test_http_verdict_says_who_and_why(serve: Serve) -> None:
    """A verdict names its validator and gives the status that was met."""
    server = serve(answer(b"shop is closed", status="503 Busy"))
    assert http("/version")(target(server.port)) == Verdict(
        status=FAILED,
        evidence="status 503, not 200: “shop is closed”",
        validator="http(/version)",
    )


# -- http: no answer, and answers that are none


def test_http_refused_is_undecided() -> None:
    """Nobody listening says nothing about the fleet."""
    verdict = http("/")(target(closed_port()))
    assert verdict.status is UNDECIDED
    assert "refused" in verdict.evidence


@pytest.mark.parametrize(
    "behave",
    [
        lambda connection: connection.recv(1),
        drip(b"HTTP/1.1 200 OK\r\nX: "),
        drip(b"HTTP/1.1 200 OK\r\n\r\n"),
        drip(b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n"),
    ],
    ids=["silent", "drips head", "drips body", "drips length"],
)
def test_http_late_is_undecided(serve: Serve, behave: Callable[..., None]) -> None:
    """The timeout is for the whole: a byte now and then does not extend it."""
    verdict = http("/", contains="y", timeout="100ms")(target(serve(behave).port))
    assert verdict == Verdict(
        status=UNDECIDED, evidence="no answer: timed out", validator="http(/)"
    )


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nshop",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nshop",
    ],
    ids=["nothing", "short", "short chunk"],
)
def test_http_cut_off_is_undecided(serve: Serve, sent: bytes) -> None:
    """Half an answer is no answer, even where the half would do."""
    verdict = http("/", contains="shop")(target(serve(sent).port))
    assert verdict.status is UNDECIDED


@pytest.mark.parametrize(
    "behave",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        answer(b"shop" + b"x" * 65536),
        b"HTTP/1.1 200 OK\r\n" + b"X: %s\r\n" % (b"y" * 500) * 90 + b"\r\nshop",
        endless(b"HTTP/1.1 100 Continue\r\n\r\n"),
        endless(b"x" * 65536),
    ],
    ids=["not http", "large body", "large head", "endless 100", "endless line"],
)
def test_http_nonsense_fails(serve: Serve, behave: bytes | Callable[..., None]) -> None:
    """What is not HTTP, or larger than anyone may answer, fails within its bounds."""
    verdict = http("/", contains="shop", timeout=LONG)(target(serve(behave).port))
    assert verdict.status is FAILED
    assert verdict.evidence.startswith("bad answer: ")
    assert len(verdict.evidence) < 120


def test_http_body_up_to_the_limit_is_read(serve: Serve) -> None:
    """64 KiB is still accepted, to its last byte."""
    body = b"x" * (65536 - 4) + b"shop"
    validator = http("/", contains="shop")
    assert validator(target(serve(answer(body)).port)).status is PASSED


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "::ffff:169.254.169.254", "168.63.129.16"]
)
def test_http_asks_no_metadata_service(host: str) -> None:
    """An address that hands out credentials is refused without connecting."""
    verdict = http("/")(target(80, host=host))
    assert verdict.status is FAILED
    assert "metadata" in verdict.evidence


def test_http_evidence_is_bounded_and_printable(serve: Serve) -> None:
    """No body can forge log lines, colour a terminal or fill the ledger."""
    body = b"\x1b[31mred\x00\r\nINFO all is well\xe2\x80\xae" + b"secret " * 500
    verdict = http("/", contains="shop")(target(serve(answer(body)).port))
    assert verdict.evidence.isprintable()
    assert len(verdict.evidence) < 120
    assert "[31mred INFO all is well secret" in verdict.evidence


# -- tcp


@pytest.mark.parametrize("validator", [http("/"), tcp()])
def test_a_switch_without_a_network_is_undecided_at_once(validator) -> None:
    """A name that can have no address is not looked up, and the verdict says what to do."""
    verdict = validator(target(host="simulated.invalid"))
    assert verdict.status is UNDECIDED
    assert "on no network; judge by a function of the target" in verdict.evidence


def test_tcp_accepts(serve: Serve) -> None:
    """An accepted connection passes."""
    assert tcp()(target(serve(answer()).port)).status is PASSED


def test_tcp_refused_fails() -> None:
    """A refused connection is an answer: nobody listens."""
    verdict = tcp()(target(closed_port()))
    assert verdict.status is FAILED
    assert "refused" in verdict.evidence


def test_tcp_late_is_undecided() -> None:
    """A connection that nobody accepts in time is undecided."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                filler = stack.enter_context(socket.socket())
                filler.settimeout(0)
                filler.connect_ex(("127.0.0.1", port))
            verdict = tcp(timeout="100ms")(target(port))
    assert verdict.status is UNDECIDED


def test_tcp_judges_instances_where_headers_choose(serve: Serve) -> None:
    """Behind a route of headers, the endpoint would answer for the live fleet."""
    route = (("X-Preview", "1"),)
    port = serve(answer()).port
    make = functools.partial(target, port, headers=route)
    local = ("127.0.0.1", "127.0.0.1")
    closed = make(addresses=local, instance_port=closed_port())
    assert tcp()(closed).status is FAILED
    assert tcp()(make(addresses=local, instance_port=port)).evidence == "2 accepted"
    assert tcp()(make(addresses=("127.0.0.1", None))).status is UNDECIDED
    assert tcp()(make()).status is UNDECIDED
