"""Deliberately broken backends: thin wrappers over `memory://`, each with one defect."""

import atexit
import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from pathlib import Path

import attrs

from immutable import Recipe
from immutable.machines import Machines
from immutable.model import Endpoint, InstanceId, ServiceName
from immutable.protocols import Backend, Switch
from immutable.testing import Killed, World, conformance, world

_NUMBERS = count(1)
OPENED: Counter[str] = Counter()
"""How many switches were opened in each world."""


class Over:
    """Another object, some of whose methods are changed by a subclass."""

    def __init__(self, inner: object) -> None:
        self.inner = inner

    def __getattr__(self, name: str) -> object:
        """Return what is not changed."""
        return getattr(self.inner, name)


class Altered(Over):
    """A backend with some parts exchanged."""

    def __init__(self, inner: object, **parts: object) -> None:
        super().__init__(inner)
        self.__dict__.update(parts)


def _as_it_is(_lab: World, part: object) -> object:
    return part


@attrs.frozen(kw_only=True)
class Defect:
    """One way to break the contract, and the cases that must find it.

    ``backend`` and ``switch`` get the world and a sound part, and return a broken one.
    """

    name: str
    found_by: tuple[str, ...]
    clauses: tuple[str, ...] = ()
    """What the message names, where it is not the clause of the case."""
    options: str = ""
    backend: Callable[[World, Backend], Backend] = _as_it_is
    switch: Callable[[World, Switch], Switch] = _as_it_is
    visit: Callable[[World, str], str] | None = None
    machines: Callable[[], Machines] | None = None
    of_service: Callable[[ServiceName], str] = str
    """The service whose switch is opened for a service."""

    def subject(self) -> conformance.Subject:
        """Return a subject with this defect, in a world of its own."""
        options = f"?{self.options}" if self.options else ""
        lab = world(f"memory://broken-{next(_NUMBERS)}{options}")
        opened: list[str] = []

        def switch(service: ServiceName) -> Switch:
            opened.append(service)
            OPENED[lab.name] += 1
            return self.switch(lab, lab.switch(self.of_service(service)))

        def visit(endpoint: Endpoint) -> str:
            if endpoint == lab.switch(opened[-1]).endpoints()[1]:
                return previewed(lab, opened[-1])
            return (self.visit or served)(lab, opened[-1])

        machines = self.machines() if self.machines else None
        return conformance.Subject(
            backend=lambda: self.backend(lab, lab.backend),
            switch=switch,
            good=Recipe.base("debian:12").run("make good"),
            another=lab.image("another"),
            broken=lab.image("sick", ready=False),
            spare=Recipe.base("debian:12").run("make spare"),
            kill=machines.kill
            if machines
            else lambda i: lab.kill_server(InstanceId(i)),
            machines=machines,
            abandon=lambda: abandon(lab),
            scale_by=lambda fleet: lab.scale_by(fleet, "by load", least=1, most=7),
            scaling=lab.scaling,
            artefact=packer_manifest(folder()),
            visit=visit,
            ready_timeout="10s",
            pages=60,
            crashes=6,
            name=self.name,
        )


def folder() -> Path:
    """Return a directory that stays while the program runs."""
    made = tempfile.mkdtemp(prefix="immutable-broken-")
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return Path(made)


def packer_manifest(place: Path) -> Path:
    """Write an artefact, and a manifest as Packer does; return the manifest."""
    (place / "disk").write_bytes(b"bytes")
    build = {"files": [{"name": "disk", "size": 5}], "packer_run_uuid": "1"}
    path = place / "manifest.json"
    path.write_text(json.dumps({"builds": [build], "last_run_uuid": "1"}))
    return path


def abandon(lab: World) -> None:
    """Let a build be killed."""
    recipe = Recipe.base("debian:12").run("make haste")
    lab.kill_deployer(at=1)
    with suppress(Killed):
        lab.host.aside(
            lambda: lab.backend.images.build(recipe, on_output=lambda _line: None),
            lambda: None,
        )


def served(lab: World, service: str) -> str:
    """Return what a client of a service is served: the image of the fleet with traffic."""
    weights = lab.switch(service).read().routing.weights
    return _image_of(lab, weights[0][0]) if weights else ""


def previewed(lab: World, service: str) -> str:
    """Return what a client is served on the preview route."""
    fleet = lab.switch(service).read().routing.preview
    return _image_of(lab, fleet) if fleet else ""


def _image_of(lab: World, fleet: str) -> str:
    return ", ".join(sorted({str(s.image) for s in lab.servers() if s.fleet == fleet}))
