"""What tests with real virtual machines share: a pool, an image and a network."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import libvirt
import pytest

import immutable_libvirt
from immutable.images.recipe import Recipe
from immutable.model import Image, InstanceId
from immutable.urls import Url
from immutable_libvirt import LibvirtBackend

_CACHE = Path(os.environ.get("IMMUTABLE_CACHE_DIR", "/var/tmp/immutable-tests"))  # noqa: S108 - root's, and kept between runs
# Tests get a network of their own, so that they never meet a real deployment.
_NETWORK = "network=immutable-test&bridge=immtestbr0&subnet=10.84.19.0/24"
# The guest's own BusyBox serves the files that say who the instance is.
_HTTPD = "/run/immutable/bin/busybox httpd -f -p 8080 -h /run/immutable"


@pytest.fixture(scope="session")
def vm_url() -> Iterator[str]:
    """Return the URL of a backend for tests; its network is removed afterwards."""
    yield f"libvirt:///system?pool={_CACHE}/pool&acceleration=tcg&{_NETWORK}"
    connection = libvirt.open("qemu:///system")
    with suppress(libvirt.libvirtError):
        network = connection.networkLookupByName("immutable-test")
        network.destroy()
        network.undefine()


@pytest.fixture
def backend(vm_url: str) -> Iterator[LibvirtBackend]:
    """Return a backend; what a test leaves in the tests' own pool is destroyed."""
    opened = immutable_libvirt.open_backend(Url.parse(vm_url))
    yield opened
    # not list(): that finds every instance of this host, other people's too
    for left in list(opened.machines.store.remains()):
        opened.machines.destroy(InstanceId(left.facts.name))


@pytest.fixture(scope="session")
def image(vm_url: str) -> Image:
    """Return an image that answers on port 8080 with who it is."""
    images = immutable_libvirt.open_backend(Url.parse(vm_url)).images
    recipe = Recipe.base("debian:12").service("web", _HTTPD)
    return images.build(recipe, on_output=lambda _: None)


@pytest.fixture
def vm_backends(
    backend: LibvirtBackend, vm_url: str
) -> tuple[LibvirtBackend, LibvirtBackend]:
    """Return two backends that share nothing but the machine."""
    return backend, immutable_libvirt.open_backend(Url.parse(vm_url))
