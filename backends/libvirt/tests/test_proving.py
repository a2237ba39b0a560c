"""Images are proven on real machines: their files, commands in their root, an instance."""

import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest
from ports import free_port

import immutable
from immutable.images import proof
from immutable.images.recipe import Recipe
from immutable.model import Digest, Image
from immutable.registry import open_backend, open_switch
from immutable_libvirt import LibvirtBackend

pytestmark = [pytest.mark.vm, pytest.mark.haproxy, pytest.mark.timeout(300)]
_HTTPD = "/run/immutable/bin/busybox httpd -f -p 8080 -h /run/immutable"
RECIPE = (
    Recipe.base("debian:12")
    .packages("media-types")
    .user("shop", uid=1500)
    .service("web", _HTTPD)
)
SPAWN = multiprocessing.get_context("spawn")
GOSS = {
    "package": {
        "media-types": {"installed": True},
        "openssh-server": {"installed": False},
    },
    "file": {"/etc/mime.types": {"exists": True, "contains": ["text/html"]}},
    "port": {"tcp:8080": {"listening": True}, "tcp:22": {"listening": False}},
    "http": {"http://localhost:8080/identity.json": {"status": 200, "body": ["image"]}},
}
TESTS = """
def test_shop(host):
    assert host.package("media-types").is_installed
    assert host.user("shop").uid == 1500
    assert not host.file("/root/.ssh").exists
    assert host.file("/etc/mime.types").contains("text/html")
"""


@pytest.fixture(scope="session")
def shop_image(workshop) -> Image:
    """Return an image with a package, a user and a service; it stays in the pool."""
    return workshop.build(RECIPE)


@pytest.fixture
def service(
    vm_url: str, backend: LibvirtBackend, tmp_path: Path
) -> Iterator[immutable.Service]:
    """Return a service of one small machine; everything of it is gone afterwards."""
    address = f"127.0.0.1:{free_port()}"
    made = immutable.Service(
        "immproof",
        backend=vm_url,
        ports=8080,
        switch=f"haproxy://?listen={address}&directory={tmp_path / 'switch'}",
        ledger=f"sqlite:///{tmp_path / 'ledger.db'}",
        strategy=immutable.BlueGreen(bake="1s"),
        ready_timeout="2m",
    )
    yield made
    immutable.destroy(made)
    open_switch(made.switch, open_backend(vm_url), made.name, port=8080).shut_down()


def everything(place: Path) -> list[proof.Check]:
    """Return a check of every kind."""
    (place / "goss.json").write_text(json.dumps(GOSS))
    (place / "test_shop.py").write_text(TESTS)
    return [
        proof.sealed(),
        proof.package("media-types", "10.*"),
        proof.file("/etc/mime.types", mode="0644", owner="root", contains="html"),
        proof.command("id -u shop", stdout="1500"),
        proof.service("web", port=8080, path="/identity.json"),
        proof.port(8080),
        proof.http("/identity.json", port=8080, contains="image"),
        proof.http("/nothing", port=8080, status=404),
        *proof.goss(place / "goss.json"),
        proof.host_tests(place / "test_shop.py"),
    ]


def test_what_is_proven_is_what_is_launched(
    service: immutable.Service,
    shop_image: Image,
    backend: LibvirtBackend,
    tmp_path: Path,
) -> None:
    """Refused while it is not proven; every check passes; then it goes live."""
    asking = attrs.evolve(service, proven=True)
    backend.images.keep(shop_image.id, "proof.json", b"{}")
    refused = immutable.deploy(asking, shop_image)
    assert refused.outcome is immutable.Outcome.REFUSED
    made = immutable.prove(shop_image, everything(tmp_path), service=service)
    assert [j for j in made.judgements if j.status.value != "passed"] == []
    assert not list(backend.machines.store.remains())
    kept = backend.images.kept(shop_image.id, "proof.json")
    assert kept is not None
    assert proof.decode(kept) == made
    assert immutable.deploy(asking, shop_image).is_live


def test_an_image_that_fails_is_never_launched(
    service: immutable.Service, backend: LibvirtBackend, workshop
) -> None:
    """What is wrong is told, by rule and path, without the secret itself."""
    token = "ghp_" + "a1B2" * 9
    broken = RECIPE.run(f"echo TOKEN={token} > /etc/shop.env; touch /tmp/left")
    with workshop.built(broken.run("chmod 666 /etc/mime.types")) as (image, _):
        checks = [proof.sealed(), proof.package("nginx"), proof.command("nginx -v")]
        made = immutable.prove(image, checks, backend=backend)
        assert made.of(immutable.VerdictStatus.FAILED) == made.judgements
        assert {(f.rule, f.path) for f in made.judgements[0].findings} >= {
            ("secret", "/etc/shop.env"),
            ("world-writable", "/etc/mime.types"),
        }
        assert token not in repr(made)
        assert "status 127" in made.judgements[2].verdict.evidence
        done = immutable.deploy(service, image)
        assert done.outcome is immutable.Outcome.REFUSED
        assert "world-writable" in str(done.error)
    assert not list(backend.machines.store.remains())


class Hangs:
    """A check that says that it has begun, and never ends."""

    name = "hangs"
    digest = Digest("0" * 64)
    needs = (proof.Place.BOOTED,)

    def __init__(self, begun: object) -> None:
        self.begun = begun

    def judge(self, target: proof.Target) -> proof.Judgement:
        """Wait for ever."""
        assert isinstance(target, proof.Booted)
        self.begun.set()
        threading.Event().wait()
        raise AssertionError


def prove_for_ever(service: immutable.Service, image: Image, begun: object) -> None:
    """Prove an image in a process that is going to be killed."""
    immutable.prove(image, [Hangs(begun)], service=service)


def test_what_a_killed_process_leaves_is_swept_away(
    service: immutable.Service, shop_image: Image, backend: LibvirtBackend
) -> None:
    """Its instance is found by name and tags, and is gone."""
    begun = SPAWN.Event()
    process = SPAWN.Process(target=prove_for_ever, args=(service, shop_image, begun))
    process.start()
    assert process.pid is not None
    while not begun.wait(1):
        assert process.is_alive()
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert len(list(backend.machines.store.remains())) == 1
    assert immutable.sweep(service).is_live
    assert not list(backend.machines.store.remains())
    assert not immutable.status(service).fleets
