"""A server that speaks AWS's protocols, in this process: every request is seen.

It is moto, which stands for no more than itself: requests come one at a time, so that what
is atomic at AWS is so here, and each can be spoiled before or after it has its effect.
"""

import itertools
import json
import logging
import re
import socket
import sys
import threading
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import attrs
import pytest

sys.path.insert(0, str(Path(__file__).parent))
# at the end: the library is tested as it is installed, the emulator lies only here
sys.path.append(str(Path(__file__).parents[3]))

from builders import Hurried
from ground import name_server

from emulators import aws
from emulators.aws.account import Account
from immutable.host import running_on

_RUNS = itertools.count()


@attrs.frozen(kw_only=True)
class Request:
    """A request as it came over the wire."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes

    @property
    def operation(self) -> str:
        """Return what is asked for: an action's name, or method and path."""
        if target := self.headers.get("x-amz-target"):
            return target.rpartition(".")[2]
        if found := re.search(rb"(?:^|&)Action=(\w+)", self.body):
            return found.group(1).decode()
        return f"{self.method} {self.path}"


@attrs.frozen(kw_only=True)
class Spoilt:
    """What becomes of a request: cut ``before`` or ``after`` its effect, or refused."""

    when: Literal["before", "after", "instead", "not"] = "instead"
    status: int = 0
    code: str = ""
    message: str = "not now"


class Wire:
    """What came over the wire, and what is to be spoiled."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._lock = threading.Lock()
        self.requests: list[Request] = []
        self._left: list[tuple[str, Spoilt]] = []

    @property
    def operations(self) -> list[str]:
        """Return what was asked for, in order."""
        return [request.operation for request in self.requests]

    def clear(self) -> None:
        """Forget what came, and spoil nothing any more."""
        self.requests.clear()
        self._left.clear()

    def cut(self, when: Literal["before", "after"], *operations: str) -> None:
        """Cut the connection at requests to come: one for each beginning of a name."""
        self._left += [(operation, Spoilt(when=when)) for operation in operations]

    def cut_nth(self, number: int, when: Literal["before", "after"]) -> None:
        """Cut the connection at one request to come, counted from nought."""
        self._left += [("", Spoilt(when="not"))] * number
        self.cut(when, "")

    def refuse(
        self, status: int, code: str, *operations: str, message: str = "not now"
    ) -> None:
        """Refuse requests to come: one for each beginning of a name."""
        spoilt = Spoilt(status=status, code=code, message=message)
        self._left += [(operation, spoilt) for operation in operations]

    def _spoilt(self, request: Request) -> Spoilt | None:
        for at, (operation, spoilt) in enumerate(self._left):
            if request.operation.startswith(operation):
                del self._left[at]
                return None if spoilt.when == "not" else spoilt
        return None

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        """Answer a request, or do not."""
        request = _request(environ)
        with self._lock:
            self.requests.append(request)
            spoilt = self._spoilt(request)
            if spoilt is not None and spoilt.when == "before":
                _reset(environ)
            if spoilt is not None and spoilt.when == "instead":
                return _refuse(spoilt, request, start_response)
            answer = self._app(environ, start_response)
            body = list(answer)
        if spoilt is not None:
            _reset(environ)
        return body


def _request(environ: Any) -> Request:
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = BytesIO(body)
    headers = {
        name[5:].replace("_", "-").lower(): str(value)
        for name, value in environ.items()
        if name.startswith("HTTP_")
    }
    return Request(
        method=environ["REQUEST_METHOD"],
        path=environ["PATH_INFO"],
        query=environ["QUERY_STRING"],
        headers=headers,
        body=body,
    )


def _reset(environ: Any) -> None:
    connection = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError


def _refuse(spoilt: Spoilt, request: Request, start_response: Any) -> list[bytes]:
    said = f"<Message>{spoilt.message}</Message>"
    text = f"<Error><Code>{spoilt.code}</Code>{said}</Error>"
    if b"Action=" in request.body:
        text = f"<ErrorResponse>{text}</ErrorResponse>"
    if "x-amz-target" in request.headers:
        text = json.dumps({"__type": spoilt.code, "message": spoilt.message})
    start_response(f"{spoilt.status} Spoilt", [("Content-Type", "application/xml")])
    return [text.encode()]


@pytest.fixture(scope="session")
def server() -> Iterator[tuple[str, Wire]]:
    """Return the URL of a running server, and the wire to it."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    wire = Wire(DomainDispatcherApplication(create_backend_app))
    running = make_server("127.0.0.1", 0, wire, threaded=True)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}", wire
    running.shutdown()
    thread.join(timeout=10)


@pytest.fixture
def wire(server: tuple[str, Wire], monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """Return the wire to an empty server, which the SDK's own settings name."""
    from moto.moto_api._internal.models import moto_api_backend

    url, found = server
    name_server(url, monkeypatch)
    # a thousand images that nobody asked for take seconds
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    moto_api_backend.reset()
    found.clear()
    yield found
    found.clear()


@pytest.fixture(scope="session")
def cloud() -> Iterator[aws.Emulator]:
    """Return a running emulated AWS, in a process of its own."""
    with aws.start() as running:
        yield running


@pytest.fixture
def emulator(
    cloud: aws.Emulator, monkeypatch: pytest.MonkeyPatch
) -> Iterator[aws.Emulator]:
    """Return an empty emulated AWS, which the SDK's own settings name."""
    name_server(cloud.url, monkeypatch)
    # clients are kept for as long as this stays the same
    monkeypatch.setenv("AWS_EXECUTION_ENV", f"test-{next(_RUNS)}")
    cloud.reset()
    yield cloud
    assert cloud.bugs() == ()


@pytest.fixture
def account(emulator: aws.Emulator) -> Account:
    """Return an account with a network of three zones and a load balancer."""
    emulator.configure(image_s=0)
    return Account.make(emulator)


@pytest.fixture
def hurried() -> Iterator[None]:
    """Let what a test calls wait a tenth of the time between two looks."""
    with running_on(Hurried()):
        yield
