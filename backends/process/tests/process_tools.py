"""What the tests of this backend share."""

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TypeVar
from urllib.request import urlopen

from ports import free_port

import immutable
from immutable.authoring import wait_until
from immutable.images.recipe import Recipe
from immutable.machines import MachineSpec
from immutable.model import (
    DeploymentId,
    FleetName,
    FleetSpec,
    Instance,
    InstanceId,
    LedgerId,
    ReleaseNumber,
    ServiceName,
    Tags,
    digest_of,
)
from immutable.registry import open_backend, open_switch
from immutable.urls import Url
from immutable_process import ProcessBackend
from immutable_process import open_backend as open_process

T = TypeVar("T")
APP = Path(__file__).parent / "app"


def backend_in(place: Path) -> ProcessBackend:
    """Return a backend that keeps everything in ``p`` of a place."""
    return open_process(Url.parse(f"process://?dir={place}/p"))


def recipe_of(mark: str, place: Path) -> Recipe:
    """Return the recipe of an app that answers with its mark; "sick" is never ready."""
    app = place / mark
    if not app.exists():
        shutil.copytree(APP, app, ignore=shutil.ignore_patterns("__pycache__"))
        (app / "mark").write_text(mark)
    command = (sys.executable, "-I", "-S", "/srv/app/server.py")
    return Recipe.base("host:local").files(app, "/srv/app").service("app", *command)


def kill(backend: ProcessBackend, instance: InstanceId) -> None:
    """End all processes of an instance, as an accident would."""
    pid = backend.machines.directory / instance / "pid"
    group = eventually(
        lambda: (pid.exists() and int(pid.read_text() or 0)) or None, "it"
    )
    os.killpg(group, signal.SIGKILL)


@contextmanager
def serving(place: Path, option: str = "rise=2") -> Iterator[immutable.Service]:
    """Yield a service, its switch with an option; everything of it is gone afterwards."""
    # left to itself, a service previews at the same port in every test
    ports = f"listen=127.0.0.1:{free_port()}&preview=127.0.0.1:{free_port()}"
    address = f"{ports}&fast=20ms&threads=1&{option}"
    service = immutable.Service(
        "proctest",
        backend=f"process://?dir={place}/p",
        size=2,
        ports=8080,
        health="/healthz",
        switch=f"haproxy://?{address}&directory={place}/switch",
        ledger=f"sqlite:///{place}/ledger.db",
        strategy=immutable.BlueGreen(bake="200ms"),
        ready_timeout="20s",
    )
    try:
        yield service
        immutable.destroy(service)
    finally:
        backend = open_backend(service.backend)
        open_switch(service.switch, backend, service.name, port=8080).shut_down()
        clear(place)


def deploy(service: immutable.Service, place: Path, mark: str) -> None:
    """Deploy; here, so that a process of its own can be told to do it."""
    immutable.deploy(service, recipe_of(mark, place))


def clear(place: Path) -> None:
    """Destroy whatever instance is left in a place."""
    backend = backend_in(place)
    for instance, _ in backend.machines.list():
        backend.machines.destroy(instance.id)


def spec_of(backend: ProcessBackend, place: Path, mark: str = "good") -> MachineSpec:
    """Return what an instance of an app is created from."""
    image = backend.images.build(recipe_of(mark, place), on_output=lambda _: None)
    tags = Tags(
        service=ServiceName("proctest"),
        ledger=LedgerId("test-ledger"),
        deployment=DeploymentId("d1"),
        release=ReleaseNumber(1),
        digest=digest_of("release"),
    )
    fleet = FleetSpec(
        name=FleetName("proctest-v1-abcdef"),
        image=image,
        document='{"configuration": {"GREETING": "grüezi"}}',
        size=1,
        port=8080,
        tags=tags,
    )
    return MachineSpec(name="proctest-v1-abcdef-1", fleet=fleet)


def eventually(look: Callable[[], T | None], what: str) -> T:
    """Wait for something to be there, and return it."""
    return wait_until(
        look, what, within=timedelta(seconds=30), every=timedelta(milliseconds=10)
    )


def ask(instance: Instance, path: str = "/") -> bytes:
    """Return what an instance answers, as soon as it does."""

    def answer() -> bytes | None:
        with suppress(OSError), urlopen(url, timeout=5) as reply:
            return bytes(reply.read())
        return None

    url = f"http://{instance.address}:{instance.port}{path}"
    return eventually(answer, f"an answer at {url}")


def processes_naming(path: Path) -> set[str]:
    """Return the processes whose command lines name something under a path."""
    found = set()
    for line in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if str(path) in line.read_text(errors="replace"):
                found.add(line.parent.name)
    return found - {str(os.getpid())}
