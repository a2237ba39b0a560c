"""The server: moto's own application, behind a lock, a count and a control."""

import contextlib
import re
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator

import attrs
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from werkzeug.serving import make_server

from emulators.aws import requests
from emulators.aws.control import Control
from emulators.aws.counting import Calls
from emulators.aws.gate import Gate
from emulators.aws.handlers import HANDLERS, TICKS
from emulators.aws.hooks import install
from emulators.aws.refusals import Answer, Refusal
from emulators.aws.settings import Settings
from emulators.aws.spoiling import cut_off
from emulators.aws.warm import warm
from emulators.aws.world import World

Start = Callable[..., object]
_ERROR = re.compile(rb"<Code>([^<]+)</Code>|\"__type\":\s*\"(?:[^\"#]*#)?([^\"]+)\"")
_TICK_S = 0.02
_SERVER_ERROR, _UNKNOWN = 500, 501


@attrs.define(eq=False, kw_only=True)
class Front:
    """What stands before moto: one request at a time, each of them counted."""

    world: World
    calls: Calls = attrs.field(factory=Calls)
    app: Callable[[requests.Environ, Start], Iterable[bytes]] = attrs.field(
        factory=lambda: DomainDispatcherApplication(create_backend_app)
    )
    gate: Gate = attrs.field(factory=Gate)
    control: Control = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Make the control."""
        self.control = Control(world=self.world, calls=self.calls)

    def __call__(self, environ: requests.Environ, start: Start) -> Iterable[bytes]:
        """Answer one request."""
        path = str(environ.get("PATH_INFO", ""))
        if path.startswith("/__emulator/"):
            return self.control(environ, start)
        began = time.monotonic()
        asked = requests.read(environ)
        # moto's stores are not made for two at a time: conditions would not be atomic
        with self.world.held():
            cut = self.world.cuts.take(asked)
            if cut == "before":
                self._cut(asked, began, environ)
            status, headers, body = self._answer(asked, environ)
            if cut == "after":
                self._cut(asked, began, environ)
        error = _error_in(status, body)
        if status[0] == _SERVER_ERROR:
            self.world.bugs.append(f"{asked.name}: {body.decode(errors='replace')}")
        self.calls.note(
            asked.name, began=began, status=status[0], error=error, key=asked.key
        )
        start(f"{status[0]} {status[1]}", headers)
        return [body]

    def _cut(
        self, asked: requests.Asked, began: float, environ: requests.Environ
    ) -> None:
        self.calls.note(asked.name, began=began, status=0, error="cut", key=asked.key)
        cut_off(environ)

    def _answer(self, asked: requests.Asked, environ: requests.Environ) -> Answer:
        settings = self.world.settings
        refusal = self.gate.refusal(settings, asked)
        if refusal:
            return refusal.told(asked.service)
        try:
            return self.world.lag.answer(settings, asked, environ, self._ask)
        except Exception as error:  # noqa: BLE001 - whatever it is, a test is to see it
            self.world.bugs.append(f"{asked.name}: {traceback.format_exc()}")
            said = f"{asked.name}: {error!r}"
            bug = Refusal(code="EmulatorBug", message=said, status=_UNKNOWN)
            return bug.told(asked.service)

    def _ask(self, environ: requests.Environ) -> Answer:
        told: list[tuple[str, list[tuple[str, str]]]] = []

        def note(status: str, headers: list[tuple[str, str]], *_: object) -> None:
            told.append((status, headers))

        body = b"".join(self.app(environ, note))
        status, headers = told[-1]
        code, _, phrase = status.partition(" ")
        return (int(code), phrase), headers, body


def _error_in(status: tuple[int, str], body: bytes) -> str:
    if status[0] < 400:  # noqa: PLR2004 - from here on, HTTP means errors
        return ""
    found = _ERROR.search(body[:4096])
    if not found:
        return str(status[0])
    return (found.group(1) or found.group(2)).decode()


@contextlib.contextmanager
def serving(settings: Settings, port: int = 0) -> Iterator[int]:
    """Serve on loopback for as long as the block runs, and tell the port."""
    world = World(chosen=settings)
    world.ticks += TICKS
    install(world, HANDLERS)
    front = Front(world=world)
    warm(front.app)
    server = make_server(
        "127.0.0.1", port, front, threaded=True, request_handler=_Handler
    )
    stop = threading.Event()
    threads = [
        threading.Thread(target=server.serve_forever, daemon=True),
        threading.Thread(target=_tick, args=(world, stop), daemon=True),
    ]
    for thread in threads:
        thread.start()
    try:
        yield server.server_port
    finally:
        stop.set()
        server.shutdown()
        threads[1].join()
        world.close()


def _tick(world: World, stop: threading.Event) -> None:
    while not stop.wait(_TICK_S):
        try:
            with world.held():
                pass
        except Exception:  # noqa: BLE001 - the clock goes on, and tests are told
            world.bugs.append(traceback.format_exc())


class _Handler(MotoRequestHandler):
    """moto's, which keeps connections; it prints nothing."""

    protocol_version = "HTTP/1.1"

    def log(self, type: str, message: str, *args: object) -> None:  # noqa: A002 - its name
        """Print nothing."""
