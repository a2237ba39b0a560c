import os
from datetime import timedelta
from pathlib import Path

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutable.errors import InvalidInput
from immutable.model import ServiceName
from immutable.urls import Url
from immutable_haproxy import Address, HAProxyConfig, Probing, Timeouts, open_switch
from immutable_haproxy.config import default_directory, preview_candidates

SHOP = ServiceName("shop")
WAITS = st.integers(10, 86_400_000).map(lambda ms: timedelta(milliseconds=ms))
ADDRESSES = st.builds(
    Address, host=st.ip_addresses().map(str), port=st.integers(1, 65535)
)
CONFIGS = st.builds(
    HAProxyConfig,
    directory=st.just(Path("/var/lib/a b")),
    listen=ADDRESSES,
    preview=st.none() | ADDRESSES,
    mode=st.sampled_from(["http", "tcp"]),
    reuse=st.booleans(),
    slots=st.integers(2, 100),
    threads=st.none() | st.integers(1, 64),
    max_connections=st.integers(10, 1_000_000),
    probing=st.builds(
        Probing,
        interval=WAITS,
        fast=WAITS,
        rise=st.integers(1, 100),
        fall=st.integers(1, 100),
    ),
    timeouts=st.builds(Timeouts, connect=WAITS, server=WAITS, client=WAITS),
).filter(lambda config: not config.preview or config.preview.port != config.listen.port)


def config(text: str) -> HAProxyConfig:
    """Return what a URL means for a service on port 8080."""
    return HAProxyConfig.from_url(Url.parse(text), service=SHOP, port=8080)


@given(CONFIGS)
def test_options_round_trip(value: HAProxyConfig) -> None:
    """What is recorded at the set-up reads back as the same configuration."""
    assert HAProxyConfig.from_options(value.to_options()) == value


def test_defaults() -> None:
    """A bare URL listens on the loopback address at the service's port."""
    value = config("haproxy://")
    assert value.listen == Address(host="127.0.0.1", port=8080)
    assert (value.mode, value.slots, value.preview, value.reuse) == (
        "http",
        6,
        None,
        False,
    )


def test_all_options() -> None:
    """Every option arrives where it belongs."""
    value = config(
        "haproxy://?listen=[::]:80&preview=127.0.0.1:81&preview_header=on&mode=http&slots=9"
        "&threads=2&max_connections=100&reuse=on&directory=/srv/x&interval=2s&fast=50ms"
        "&rise=3&fall=4&connect=500ms&server=1m&client=2m"
    )
    assert value == HAProxyConfig(
        directory=Path("/srv/x"),
        listen=Address(host="::", port=80),
        preview=Address(host="127.0.0.1", port=81),
        preview_header=True,
        slots=9,
        threads=2,
        max_connections=100,
        reuse=True,
        probing=Probing(
            interval=timedelta(seconds=2),
            fast=timedelta(milliseconds=50),
            rise=3,
            fall=4,
        ),
        timeouts=Timeouts(
            connect=timedelta(milliseconds=500),
            server=timedelta(minutes=1),
            client=timedelta(minutes=2),
        ),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("haproxy://?lissten=127.0.0.1:80", "unknown option lissten"),
        ("haproxy://127.0.0.1:80", "host or a path"),
        ("haproxy:///var/lib/x", "host or a path"),
        ("haproxy://?listen=80", "option listen.*ADDRESS:PORT"),
        ("haproxy://?listen=", "option listen"),
        ("haproxy://?listen=:80", "option listen"),
        ("haproxy://?listen=example.org:80", "option listen.*literal"),
        ("haproxy://?listen=127.0.0.1:0", "option listen.*65535"),
        ("haproxy://?listen=127.0.0.1:65536", "option listen.*65535"),
        ("haproxy://?listen=127.0.0.1:\uff18\uff10", "option listen"),
        ("haproxy://?listen=127.0.0.1%20accept-proxy:80", "option listen"),
        ("haproxy://?listen=[fe80::1%25eth0]:80", "option listen"),
        ("haproxy://?preview=127.0.0.1:8080", "share port 8080"),
        ("haproxy://?mode=udp", "option mode.*http or tcp"),
        ("haproxy://?mode=tcp&preview_header=on", "needs mode=http"),
        ("haproxy://?preview_header=yes", "neither on nor off"),
        ("haproxy://?slots=1", "2 to 100"),
        ("haproxy://?slots=٣", "2 to 100"),
        ("haproxy://?threads=0", "1 to 64"),
        ("haproxy://?interval=1", "option interval.*units"),
        ("haproxy://?interval=1ms", "10ms to 1d"),
        ("haproxy://?connect=2d", "10ms to 1d"),
        ("haproxy://?rise=-1", "option rise"),
        ("haproxy://?directory=var/lib", "option directory"),
        ("haproxy://?directory=/var/../etc", "option directory"),
        ("haproxy://?directory=/a%00b", "option directory"),
    ],
)
def test_bad_urls(text: str, message: str) -> None:
    """A URL that cannot work is refused when it is opened, naming the option."""
    with pytest.raises(InvalidInput, match=message):
        open_switch(Url.parse(text), service=SHOP, port=8080)


def test_bad_service_and_port() -> None:
    """The service's name becomes a path: what is no name is refused; so is no port."""
    for name in ("../../etc", "", "a b", "shop\n"):
        with pytest.raises(InvalidInput, match="service name"):
            open_switch(Url.parse("haproxy://"), service=ServiceName(name), port=80)
    with pytest.raises(InvalidInput, match="port 0"):
        open_switch(Url.parse("haproxy://"), service=SHOP, port=0)


def test_default_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's state lies in the system's place, a user's where the user's state does."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert default_directory(SHOP) == Path("/var/lib/immutable/haproxy/shop")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("XDG_STATE_HOME", "/home/u/state")
    assert default_directory(SHOP) == Path("/home/u/state/immutable/haproxy/shop")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/u")
    assert default_directory(SHOP) == Path(
        "/home/u/.local/state/immutable/haproxy/shop"
    )


def test_preview_candidates() -> None:
    """The ports tried for a service's preview are always the same, and above 20,000."""
    ports = preview_candidates("shop")
    assert ports == preview_candidates("shop")
    assert ports != preview_candidates("blog")
    assert all(20_000 <= port < 30_000 for port in ports)
    assert len(set(ports)) == 100


def test_values_are_frozen() -> None:
    """A configuration cannot be changed under a switch that uses it."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        config("haproxy://").slots = 7  # type: ignore[misc]
