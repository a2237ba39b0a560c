"""The options of a libvirt URL."""

from ipaddress import IPv4Network
from pathlib import Path

import pytest

import immutable_libvirt
from immutable.errors import InvalidInput, Unsupported
from immutable.model import ServiceName
from immutable.protocols import PROTOCOL_VERSION
from immutable.urls import Url
from immutable_libvirt.config import LibvirtConfig


def _parse(text: str) -> LibvirtConfig:
    return LibvirtConfig.parse(Url.parse(text))


def test_defaults_need_no_options() -> None:
    """The bare URL names the system's libvirt and a pool that root can write."""
    config = _parse("libvirt:///system")
    assert config.uri == "qemu:///system"
    assert config.pool == Path("/var/lib/immutable/libvirt")
    assert config.subnet == IPv4Network("10.83.0.0/24")


def test_session_keeps_its_pool_with_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without root the pool is in the user's state directory."""
    monkeypatch.setenv("XDG_STATE_HOME", "/home/ann/state")
    config = _parse("libvirt:///session")
    assert config.uri == "qemu:///session"
    assert config.pool == Path("/home/ann/state/immutable/libvirt")


def test_a_relative_state_directory_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """The XDG specification says so."""
    monkeypatch.setenv("XDG_STATE_HOME", "state")
    monkeypatch.setenv("HOME", "/home/ann")
    expected = Path("/home/ann/.local/state/immutable/libvirt")
    assert _parse("libvirt:///session").pool == expected


def test_every_option_is_read() -> None:
    """Each option ends up in the field of its name."""
    config = _parse(
        "libvirt:///system?pool=/srv/pool&network=green&bridge=br7&subnet=10.9.0.0/20"
        "&memory_mib=512&vcpus=2&disk_gib=8&max_image_gib=3&acceleration=tcg"
    )
    assert config == LibvirtConfig(
        pool=Path("/srv/pool"),
        network="green",
        bridge="br7",
        subnet=IPv4Network("10.9.0.0/20"),
        memory_mib=512,
        vcpus=2,
        disk_gib=8,
        max_image_gib=3,
        acceleration="tcg",
    )


@pytest.mark.parametrize(
    "text",
    [
        "libvirt://elsewhere/system",
        "libvirt:///lxc",
        "libvirt:///system?memory=5",
        "libvirt:///system?pool=relative",
        "libvirt:///system?pool=/a/../b",
        "libvirt:///system?pool=/a%0Ab",
        "libvirt:///system?network=UPPER",
        "libvirt:///system?network=a%22b",
        "libvirt:///system?bridge=much-too-long-for-linux",
        "libvirt:///system?subnet=10.83.0.1/24",
        "libvirt:///system?subnet=8.8.8.0/24",
        "libvirt:///system?subnet=10.0.0.0/8",
        "libvirt:///system?subnet=10.0.0.0/30",
        "libvirt:///system?subnet=127.0.0.0/24",
        "libvirt:///system?subnet=169.254.0.0/24",
        "libvirt:///system?subnet=fd00::/64",
        "libvirt:///system?memory_mib=0",
        "libvirt:///system?memory_mib=-5",
        "libvirt:///system?memory_mib=many",
        "libvirt:///system?memory_mib=%D9%A1%D9%A2%D9%A8",
        "libvirt:///system?vcpus=0",
        "libvirt:///system?vcpus=1.5",
        "libvirt:///system?disk_gib=0",
        "libvirt:///system?max_image_gib=0",
        "libvirt:///system?acceleration=hvf",
    ],
)
def test_values_that_can_never_work_are_refused(text: str) -> None:
    """Each is refused when the URL is read, with a hint at what would work."""
    with pytest.raises(InvalidInput) as caught:
        immutable_libvirt.open_backend(Url.parse(text))
    assert caught.value.hint


def test_opening_does_no_io(tmp_path: Path) -> None:
    """A backend can be opened where neither pool nor daemon is."""
    pool = tmp_path / "absent"
    url = Url.parse(f"libvirt:///system?pool={pool}")
    backend = immutable_libvirt.open_backend(url)
    assert backend.protocol_version == PROTOCOL_VERSION
    assert backend.name == "libvirt"
    assert not pool.exists()


def test_a_session_is_refused_for_now() -> None:
    """Said at once, with what works."""
    with pytest.raises(Unsupported, match="libvirt:///system"):
        immutable_libvirt.open_backend(Url.parse("libvirt:///session"))


def test_the_default_switch_listens_where_the_service_is() -> None:
    """HAProxy on the loopback interface, at the service's port."""
    backend = immutable_libvirt.open_backend(Url.parse("libvirt:///system"))
    url = backend.default_switch(ServiceName("shop"), port=8081)
    assert str(url) == "haproxy://?listen=127.0.0.1:8081"
