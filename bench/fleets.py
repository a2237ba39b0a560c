"""Fleets of fast local servers behind a real switch, for benches that boot nothing."""

import contextlib
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from bench.figures import CannotMeasure
from immutable.model import (
    Endpoint,
    FleetName,
    Health,
    HealthCheck,
    InstanceId,
    LedgerId,
    Member,
    Routing,
    ServiceName,
)
from immutable.protocols import Switch
from immutable.urls import Url

if TYPE_CHECKING:
    from immutable_haproxy import HAProxySwitch

OWNER = LedgerId("00000000-0000-4000-8000-000000000000")
SIZE = 2
PORT = 8080
"""What servers listen on that have an address of their own."""
_PATIENCE_S = 20
_QUIET_PORTS = (15_000, 32_000)
_ORIGIN = """
global
    nbthread 1
    maxconn 4000
defaults
    mode http
    timeout client 60s
    timeout server 60s
    timeout connect 5s
"""
_RELEASE = """
frontend release-{release}
{binds}
    http-request return status 200 content-type {kind} string ok hdr X-Release {release}
"""


@attrs.frozen(kw_only=True)
class Fleet:
    """Servers that answer with one release's number."""

    release: int
    ports: tuple[int, ...]

    @property
    def name(self) -> FleetName:
        """Return its name at the switch."""
        return FleetName(f"bench-v{self.release}-abcdef")

    @property
    def members(self) -> tuple[Member, ...]:
        """Return its servers as the switch takes them."""
        return tuple(
            Member(instance=InstanceId(f"{self.name}-{n}"), address="127.0.0.1", port=p)
            for n, p in enumerate(self.ports, 1)
        )

    @property
    def routing(self) -> Routing:
        """Return the routing that sends everything here."""
        return Routing(weights={self.name: 100})


def free_ports(count: int) -> tuple[int, ...]:
    """Return ports on the loopback address that nobody listens on now.

    They lie below those that outgoing connections take, of which there will be many.
    """
    found: dict[int, None] = {}
    while len(found) < count:
        port = random.randrange(*_QUIET_PORTS)
        with contextlib.suppress(OSError):
            socket.create_server(("127.0.0.1", port)).close()
            found[port] = None
    return tuple(found)


@contextlib.contextmanager
def local_fleets(folder: Path, releases: Sequence[int]) -> Iterator[tuple[Fleet, ...]]:
    """Run servers for each release while the block lasts: one HAProxy as the origin."""
    ports = free_ports(SIZE * len(releases))
    fleets = tuple(
        Fleet(release=release, ports=ports[n * SIZE : (n + 1) * SIZE])
        for n, release in enumerate(releases)
    )
    path = folder / "origin.cfg"
    path.write_text(_ORIGIN + "".join(map(_section, fleets)), encoding="utf-8")
    process = subprocess.Popen([_haproxy(), "-db", "-f", path])
    try:
        for port in ports:
            _wait_for(port, process)
        yield fleets
    finally:
        process.terminate()
        process.wait()


def _section(fleet: Fleet) -> str:
    binds = "\n".join(f"    bind 127.0.0.1:{port}" for port in fleet.ports)
    return _RELEASE.format(kind="text/plain", release=fleet.release, binds=binds)


def _haproxy() -> str:
    found = shutil.which("haproxy") or shutil.which("haproxy", path="/usr/sbin")
    if found is None:
        raise CannotMeasure("HAProxy is not installed; install haproxy")
    return found


def _wait_for(port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise CannotMeasure(f"the origin does not listen on port {port}")
        time.sleep(0.01)


@contextlib.contextmanager
def open_switch_in(directory: Path, name: str) -> "Iterator[HAProxySwitch]":
    """Open a HAProxy switch of its own for a service; it is ended after the block.

    Raises:
        CannotMeasure: the HAProxy switch is not installed.
    """
    try:
        from immutable_haproxy import open_switch
    except ImportError as exc:
        raise CannotMeasure(f"the HAProxy switch is not installed: {exc}") from exc

    (port,) = free_ports(1)
    options = {"listen": f"127.0.0.1:{port}", "directory": str(directory)}
    url = Url(scheme="haproxy", options=tuple(options.items()))
    switch = open_switch(url, service=ServiceName(name), port=PORT)
    try:
        yield switch
    finally:
        switch.shut_down()


def attach(switch: Switch, fleet: Fleet) -> None:
    """Give a fleet its place and return when the switch finds every server ready."""
    health = HealthCheck(port=fleet.ports[0], path="/healthz")
    expected = switch.read().version
    switch.attach(fleet.name, health=health, owner=OWNER, expected=expected)
    switch.join(fleet.name, fleet.members, drain=timedelta())
    deadline = time.monotonic() + _PATIENCE_S
    while not all(p.health is Health.READY for p in switch.health(fleet.name)):
        if time.monotonic() > deadline:
            raise CannotMeasure(f"not ready in time: {switch.health(fleet.name)}")
        time.sleep(0.05)


def production(switch: Switch) -> Endpoint:
    """Return where clients connect."""
    return switch.endpoints()[0]
