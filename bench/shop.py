"""The service that benches deploy on virtual machines, and the image it runs."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import immutable
from bench.figures import CannotMeasure
from bench.fleets import PORT
from immutable import registry
from immutable.errors import (
    BackendError,
    NotEnough,
    PermissionDenied,
    Taken,
    Unavailable,
    UnknownScheme,
)
from immutable.events import Event
from immutable.protocols import Backend, LedgerStore, Switch

APP = Path(__file__).with_name("app")
STRATEGY = immutable.BlueGreen(bake="0s", keep_warm="1h")


def open_backend(url: str) -> Backend:
    """Return the backend that machines run on.

    Raises:
        CannotMeasure: it is not installed, or this user may not use it.
    """
    if url.startswith("libvirt:///system") and os.geteuid() != 0:
        raise CannotMeasure(f"{url} needs root; run as root, or pass another --backend")
    try:
        return registry.open_backend(url)
    except (UnknownScheme, ImportError) as exc:
        raise CannotMeasure(str(exc)) from exc


def compile_app(folder: Path) -> Path:
    """Return a tree that holds the app and the payload of one of its kind.

    Raises:
        CannotMeasure: there is no C compiler.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise CannotMeasure("no C compiler; install gcc")
    tree = folder / "app"
    tree.mkdir()
    command = [compiler, "-O2", "-static", "-o", f"{tree}/server", f"{APP}/server.c"]
    subprocess.run(command, check=True)
    return tree


def recipe(tree: Path) -> immutable.Recipe:
    """Return how the app becomes an image."""
    base = immutable.Recipe.base("debian:12").files(tree, "/srv/bench")
    return base.service("bench", "/srv/bench/server")


@contextlib.contextmanager
def built(backend: Backend, recipe: immutable.Recipe) -> Iterator[immutable.Image]:
    """Yield a recipe's image and delete it afterwards; the base stays for the next run.

    Raises:
        CannotMeasure: images cannot be built here.
    """
    try:
        image = immutable.build(recipe, backend=backend)
    except BackendError as exc:
        raise CannotMeasure(f"no image: {exc}") from exc
    try:
        yield image
    finally:
        backend.images.delete(image.id)


@contextlib.contextmanager
def opened(
    name: str,
    size: int,
    *,
    backend: str | Backend,
    switch: Switch,
    ledger: str | LedgerStore,
) -> Iterator[immutable.Service]:
    """Yield a service of so many instances; its fleets are destroyed afterwards."""
    service = immutable.Service(
        name,
        backend=backend,
        size=size,
        ports=PORT,
        health="/healthz",
        switch=switch,
        ledger=ledger,
        strategy=STRATEGY,
    )
    try:
        yield service
    finally:
        immutable.destroy(service).raise_for_outcome()
        _forget_logs(service)


def _forget_logs(service: immutable.Service) -> None:
    """Remove what the instances said; by design it outlives them."""
    config = getattr(registry.open_backend(service.backend), "config", None)
    pool: Path | None = getattr(config, "pool", None)
    for line in immutable.history(service):
        if pool and line.fleet:
            shutil.rmtree(pool / "logs" / line.fleet, ignore_errors=True)


def deployed(
    service: immutable.Service,
    image: immutable.Image,
    turn: int,
    on_event: Callable[[Event], None] | None = None,
) -> None:
    """Deploy the image with another configuration, so that it is another release.

    Raises:
        CannotMeasure: this machine has no room for it, or lacks something.
        ImmutableError: it did not become live.
    """
    config = {"RELEASE": str(turn)}
    done = immutable.deploy(service, image, config=config, on_event=on_event)
    if isinstance(done.error, NotEnough | Unavailable | PermissionDenied | Taken):
        raise CannotMeasure(str(done.error)) from done.error
    done.raise_for_outcome()
