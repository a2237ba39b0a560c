import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress

import pytest
from haproxy_tools import BLUE, Servers, Switches, Traffic, attach, eventually, route

from immutable.model import Health

pytestmark = [
    pytest.mark.haproxy,
    pytest.mark.skipif(
        os.geteuid() != 0, reason="makes a network namespace: needs root"
    ),
]
NETWORK = f"10.231.{os.getpid() % 200 + 20}"
NAME = f"hx{os.getpid() % 100_000}"


def ip(*words: str) -> None:
    """Run iproute2."""
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=30)


@pytest.fixture
def namespace() -> Iterator[list[str]]:
    """Make a network that can be cut; return what runs a program inside."""
    ip("netns", "add", NAME)
    ip("link", "add", f"{NAME}b", "type", "bridge")
    ip("addr", "add", f"{NETWORK}.1/24", "dev", f"{NAME}b")
    ip("link", "add", f"{NAME}v", "type", "veth", "peer", "name", f"{NAME}w")
    ip("link", "set", f"{NAME}w", "netns", NAME)
    ip("link", "set", f"{NAME}v", "master", f"{NAME}b", "up")
    ip("link", "set", f"{NAME}b", "up")
    ip("-n", NAME, "addr", "add", f"{NETWORK}.2/24", "dev", f"{NAME}w")
    ip("-n", NAME, "link", "set", f"{NAME}w", "up")
    yield ["ip", "netns", "exec", NAME]
    for link in (f"{NAME}v", f"{NAME}b"):
        with suppress(subprocess.CalledProcessError):
            ip("link", "del", link)
    ip("netns", "del", NAME)


def test_vanished_member_fails_no_get(
    namespace: list[str], servers: Servers, switches: Switches
) -> None:
    """A member that vanishes without a word, as a destroyed VM does, costs no GET."""
    one = servers.start("one", prefix=namespace, host=f"{NETWORK}.2").wait()
    (two,) = servers("two")
    switch = switches(server="5s", interval="100ms")
    attach(switch, BLUE, one, two)
    route(switch, blue=100)
    with Traffic(switch) as kept, Traffic(switch, keep=False) as fresh:
        ip("link", "del", f"{NAME}v")
        eventually(lambda: switch.health(BLUE)[0].health is Health.UNREADY, "noticed")
        kept.more(500)
        fresh.more(200)
    assert set(kept.answers) == {"one", "two"}
    assert set(fresh.answers) == {"one", "two"}
