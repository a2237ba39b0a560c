"""Real servers, real switches and real clients for the tests."""

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from ports import free_port

from immutable.model import (
    FleetName,
    Health,
    HealthCheck,
    InstanceId,
    LedgerId,
    Member,
    Routing,
    ServiceName,
    Version,
)
from immutable.urls import Url
from immutable_haproxy import HAProxySwitch, open_switch
from immutable_haproxy.supervisor import holder_of

OWNER = LedgerId("ledger-1")
BLUE = FleetName("shop-v1-aaaaaa")
GREEN = FleetName("shop-v2-bbbbbb")
PATIENCE_S = 30
_SERVER = """
import http.server, sys, time, pathlib
name, host, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
sick = pathlib.Path(sys.argv[4])
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536
    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        print(self.path, flush=True)
        if self.path.startswith("/slow/"):
            time.sleep(float(self.path[6:]))
        bad = self.path.startswith("/health") and sick.exists()
        body = (self.path if self.path == "/echo" else name).encode()
        if self.path == "/headers":
            body = str(self.headers).encode()
        self.send_response(503 if bad else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    do_POST = do_GET
    def log_message(self, *arguments):
        pass
class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    def handle_error(self, *arguments):
        pass
import socket
Server.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
Server((host, port), Handler).serve_forever()
"""


def eventually(true: Callable[[], object], what: str) -> None:
    """Return once something holds; fail when it takes far too long."""
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, f"not within {PATIENCE_S} s: {what}"
        time.sleep(0.02)


class Server:
    """One process that answers every request with its name."""

    def __init__(
        self, name: str, folder: Path, host: str, port: int, prefix: Iterable[str] = ()
    ) -> None:
        self.name, self.host, self.port = name, host, port
        self.sick = folder / f"{name}.sick"
        self.log = folder / f"{name}.log"
        self._output = self.log.open("wb")
        self._process = subprocess.Popen(
            [
                *prefix,
                sys.executable,
                "-c",
                _SERVER,
                name,
                host,
                str(self.port),
                self.sick,
            ],
            stdout=self._output,
        )

    def wait(self) -> Self:
        """Return when it listens."""
        eventually(lambda: _listens(self.host, self.port), self.name)
        return self

    @property
    def member(self) -> Member:
        """Return it as a member of a fleet."""
        return Member(instance=InstanceId(self.name), address=self.host, port=self.port)

    def check(self, path: str | None = "/health") -> HealthCheck:
        """Return how it is probed."""
        return HealthCheck(port=self.port, path=path)

    def asked(self) -> list[str]:
        """Return the paths it was asked for."""
        return self.log.read_text().split()

    def kill(self) -> None:
        """End it without a word to its clients."""
        self._process.kill()
        self._process.wait()
        self._output.close()

    def pause(self) -> None:
        """Let it hang."""
        self._process.send_signal(signal.SIGSTOP)


def _listens(host: str, port: int) -> bool:
    with suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


class Servers:
    """The servers of a test."""

    def __init__(self, folder: Path) -> None:
        self._folder, self.port = folder, free_port()
        self._all: list[Server] = []

    def __call__(self, *names: str) -> list[Server]:
        """Start servers and return them when they listen."""
        fresh = [self.start(name) for name in names]
        return [server.wait() for server in fresh]

    def start(self, name: str, *, prefix: Iterable[str] = (), host: str = "") -> Server:
        """Start one server at its own address, perhaps by way of another program."""
        own = host or f"127.0.1.{len(self._all) + 1}"
        self._all.append(Server(name, self._folder, own, self.port, prefix))
        return self._all[-1]

    def end(self) -> None:
        """End every server."""
        for server in self._all:
            server.kill()


class Switches:
    """The switches of a test."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._listen = folder, f"127.0.0.1:{free_port()}"
        self._previews: dict[str, str] = {}
        self._all: list[HAProxySwitch] = []

    def __call__(
        self, *, service: str = "shop", listen: str = "", **options: str
    ) -> HAProxySwitch:
        """Open a switch in a directory named after its service.

        Left to itself, a service previews at a port that is the same in every test, and
        tests run beside each other: it is given one, unless ``preview`` is empty.
        """
        words = {"directory": str(self.directory(service)), "fast": "20ms"}
        words |= {"listen": listen or self._listen, "preview": self._preview(service)}
        given = {name: word for name, word in (words | options).items() if word}
        url = Url(scheme="haproxy", options=given)
        switch = open_switch(url, service=ServiceName(service), port=8080)
        self._all.append(switch)
        return switch

    def _preview(self, service: str) -> str:
        if service not in self._previews:
            self._previews[service] = f"127.0.0.1:{free_port()}"
        return self._previews[service]

    def directory(self, service: str = "shop") -> Path:
        """Return where a service's switch keeps its state."""
        return self._folder / service

    def haproxy(self, service: str = "shop") -> int:
        """Return HAProxy's process id, or 0."""
        return holder_of(str(self.directory(service) / "haproxy.lock"))

    def supervisor(self, service: str = "shop") -> int:
        """Return the restarter's process id, or 0."""
        return holder_of(str(self.directory(service) / "supervisor.lock"))

    def kill(self, *processes: int) -> None:
        """Kill processes and return when they are gone."""
        for pid in processes:
            handle = os.pidfd_open(pid)
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            eventually(lambda pid=pid: not _alive(pid), f"{pid} is gone")
            os.close(handle)

    def end(self) -> None:
        """Shut every switch down."""
        for switch in self._all:
            switch.shut_down()


def _alive(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except (FileNotFoundError, ProcessLookupError):
        return False
    return text.rpartition(")")[2].split()[0] != "Z"


def ready(switch: HAProxySwitch, *fleets: FleetName) -> None:
    """Return when every member of the fleets is ready."""
    for fleet in fleets:
        eventually(
            lambda fleet=fleet: (
                {p.health for p in switch.health(fleet)} == {Health.READY}
            ),
            f"{fleet} is ready: {switch.health(fleet)}",
        )


def attach(switch: HAProxySwitch, fleet: FleetName, *members: Server) -> Version:
    """Attach a fleet, let its members join, and return when they are ready."""
    expected = switch.read().version
    check = members[0].check()
    version = switch.attach(fleet, health=check, owner=OWNER, expected=expected)
    switch.join(fleet, tuple(m.member for m in members), drain=timedelta())
    ready(switch, fleet)
    return version


def route(
    switch: HAProxySwitch, preview: FleetName | None = None, **weights: int
) -> Version:
    """Write a routing; ``blue`` and ``green`` name the fleets."""
    fleets = {"blue": BLUE, "green": GREEN}
    shares = {fleets[name]: weight for name, weight in weights.items()}
    routing = Routing(weights=shares, preview=preview)
    return switch.write(routing, owner=OWNER, expected=switch.read().version)


class Client:
    """A client that keeps its connection."""

    def __init__(self, switch: HAProxySwitch, *, preview: bool = False) -> None:
        self._endpoint = switch.endpoints()[1 if preview else 0]
        self._link = http.client.HTTPConnection(
            self._endpoint.host, self._endpoint.port, timeout=PATIENCE_S
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._link.close()

    def ask(self, path: str = "/", *, method: str = "GET") -> str:
        """Return the answer's text, or its status when that is not 200."""
        headers = dict(self._endpoint.headers)
        body = b"x" if method == "POST" else None
        self._link.request(method, path, body=body, headers=headers)
        answer = self._link.getresponse()
        text = answer.read().decode()
        return text if answer.status == 200 else str(answer.status)


def ask(switch: HAProxySwitch, path: str = "/", *, preview: bool = False) -> str:
    """Ask once, on a connection of its own."""
    with Client(switch, preview=preview) as client:
        return client.ask(path)


def attempt(switch: HAProxySwitch, path: str, *, method: str = "GET") -> str:
    """Return the answer to one request, or what went wrong with it."""
    with Client(switch) as client:
        try:
            return client.ask(path, method=method)
        except (OSError, http.client.HTTPException) as exc:
            return f"{type(exc).__name__}: {exc}"


class Traffic:
    """Clients that ask without a pause until the block ends; counts the answers."""

    def __init__(
        self,
        switch: HAProxySwitch,
        *,
        clients: int = 4,
        method: str = "GET",
        path: str = "/",
        keep: bool = True,
    ) -> None:
        self.answers: Counter[str] = Counter()
        self._switch, self._method, self._path, self._keep = switch, method, path, keep
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        eventually(lambda: self.answers.total() > 50, "traffic flows")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def more(self, requests: int = 200) -> None:
        """Return when so many more were answered."""
        goal = self.answers.total() + requests
        eventually(lambda: self.answers.total() >= goal, "more traffic")

    def _run(self) -> None:
        while not self._stop.is_set():
            with Client(self._switch) as client:
                self._use(client)

    def _use(self, client: Client) -> None:
        while not self._stop.is_set():
            try:
                answer = client.ask(self._path, method=self._method)
            except (OSError, http.client.HTTPException) as exc:
                self.answers[f"{type(exc).__name__}: {exc}"] += 1
                return
            self.answers[answer] += 1
            if not self._keep:
                return
