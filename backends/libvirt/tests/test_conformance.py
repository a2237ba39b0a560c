"""The kit's cases, on real virtual machines; the switch's on servers of this machine.

Booting is dear here. What is left out boots most, and `test_deploying` does it with its
own expectations; or it builds again from nothing, and is run with the matrix.
"""

import http.server
import itertools
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import attrs
import libvirt
import pytest
from ports import free_port

import immutable_libvirt
from immutable.images.recipe import Recipe
from immutable.model import Image, InstanceId, Member, ServiceName
from immutable.registry import open_switch
from immutable.testing import conformance
from immutable.testing.conformance.subject import leaves_out
from immutable.testing.conformance.suite import case as suite
from immutable.urls import Url

pytestmark = pytest.mark.vm

PORT = 8080
BASE = Recipe.base("debian:12")
HTTPD = "/run/immutable/bin/busybox httpd -f -p 8080 -h /run/immutable"
DIES = """
import os, pathlib, signal, sys
from immutable_libvirt.pool import Pool
pool = Pool(pathlib.Path(sys.argv[1]))
pool.prepare()
with pool.workspace() as work:
    (work / "tree").mkdir()
    os.kill(os.getpid(), signal.SIGKILL)
"""
REBUILT = "records: a rebuilt image*"
LEFT_OUT = (
    REBUILT,
    "deploying: a first release*",
    "deploying: a rollback to a fleet*",
    "deploying: a canary*",
    "deploying: a fleet is scaled*",
    "deploying: a dead instance*",
    "crashing: a first*",
    "crashing: scaling*",
    "crashing: an ending*",
)


class Answer(http.server.BaseHTTPRequestHandler):
    """Answers every request."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Neighbours:
    """Servers of this machine, each at an address of its own."""

    def __init__(self) -> None:
        self.running: dict[str, http.server.ThreadingHTTPServer] = {}
        self._numbers = itertools.count(1)

    def members(self, count: int) -> tuple[Member, ...]:
        """Start so many and return them as members."""
        return tuple(self._start(next(self._numbers)) for _ in range(count))

    def _start(self, number: int) -> Member:
        name, address = InstanceId(f"server-{number:03}"), f"127.0.2.{number}"
        server = http.server.ThreadingHTTPServer((address, PORT), Answer)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        self.running[name] = server
        return Member(instance=name, address=address, port=PORT)

    def end(self, name: str) -> None:
        """End one of them."""
        server = self.running.pop(name)
        server.shutdown()
        server.server_close()


class Switches:
    """A HAProxy for each service, on a port of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._urls: dict[str, str] = {}

    def url(self, service: ServiceName) -> str:
        """Return the address of a service's switch."""
        if service not in self._urls:
            listen = f"listen=127.0.0.1:{free_port()}&fast=50ms&threads=1"
            self._urls[service] = (
                f"haproxy://?{listen}&directory={self._folder}/{service}"
            )
        return self._urls[service]

    def close(self, service: ServiceName) -> None:
        """End a service's switch."""
        switch = open_switch(self.url(service), None, service, port=PORT)
        switch.shut_down()


def power_off(instance: InstanceId) -> None:
    """End a virtual machine as a power cut would."""
    connection = libvirt.open("qemu:///system")
    connection.lookupByName(instance).destroy()
    connection.close()


def abandon(pool: Path) -> None:
    """Let a builder be killed in the middle of its work."""
    done = subprocess.run([sys.executable, "-c", DIES, pool], check=False)
    assert done.returncode == -signal.SIGKILL


def packed(folder: Path) -> Path:
    """Write a disk, and a manifest as Packer does; return the manifest."""
    disk, path = folder / "disk.qcow2", folder / "manifest.json"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", disk, "1M"], check=True)
    build = {"files": [{"name": disk.name, "size": 1}], "packer_run_uuid": "1"}
    path.write_text(json.dumps({"builds": [build], "last_run_uuid": "1"}))
    return path


@pytest.fixture(scope="session")
def subject(
    vm_url: str, image: Image, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[conformance.Subject]:
    """Return real machines, and what ends them; nothing runs on afterwards."""
    backend = immutable_libvirt.open_backend(Url.parse(vm_url))
    neighbours, folder = Neighbours(), tmp_path_factory.mktemp("conformance")
    switches = Switches(folder)

    def kill(instance: InstanceId) -> None:
        if instance in neighbours.running:
            neighbours.end(instance)
        else:
            power_off(instance)

    def inventory(service: ServiceName) -> frozenset[str]:
        left = (remains.facts.name for remains in backend.machines.store.remains())
        return frozenset(name for name in left if name.startswith(service))

    yield conformance.Subject(
        name="libvirt",
        backend=vm_url,
        good=image,
        another=BASE.service("www", HTTPD),
        broken=BASE.service("web", "/usr/bin/sleep 100000"),
        switch=switches.url,
        servers=neighbours.members,
        machines=backend.machines,
        kill=kill,
        abandon=lambda: abandon(backend.images.pool),
        artefact=packed(tmp_path_factory.mktemp("packed")),
        inventory=inventory,
        close=switches.close,
        port=PORT,
        size=1,
        ready_timeout="150s",
        fails_after="3s",
        crashes=2,
        leave_out=LEFT_OUT,
    )
    for name in tuple(neighbours.running):
        neighbours.end(name)


test_libvirt = conformance.backend_cases()


@pytest.mark.matrix
@pytest.mark.parametrize(
    "case",
    [case for case in suite.all() if leaves_out((REBUILT,), case.name)],
    ids=lambda case: case.name,
)
def test_images_are_built_again(
    case: conformance.Case, subject: conformance.Subject
) -> None:
    """The cases that build a base from its packages, too."""
    everything = attrs.evolve(subject, leave_out=())
    assert conformance.run(case, everything).result is conformance.Result.PASSED
