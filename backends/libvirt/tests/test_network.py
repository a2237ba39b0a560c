"""The network's XML and the host's routes, without a daemon."""

from ipaddress import IPv4Network
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from immutable_libvirt import network, xml
from immutable_libvirt.config import LibvirtConfig

# Written by Linux on a little-endian machine.
ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
immbr0\t0000530A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
"""


def test_routes_are_read_without_the_default_one() -> None:
    """Interface and destination of each, in the kernel's order."""
    assert list(network.routes(ROUTES)) == [
        ("immbr0", IPv4Network("10.83.0.0/24")),
        ("eth0", IPv4Network("192.0.2.0/24")),
    ]


@given(
    subnet=st.sampled_from(["10.83.0.0/24", "172.20.0.0/16", "192.168.9.0/29"]),
    bridge=st.from_regex(r"[a-z][a-z0-9-]{0,14}", fullmatch=True),
    name=st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True),
)
def test_the_network_is_what_was_configured(
    subnet: str, bridge: str, name: str
) -> None:
    """Its own bridge without STP, its first address, no DHCP."""
    config = LibvirtConfig(
        pool=Path("/pool"), network=name, bridge=bridge, subnet=IPv4Network(subnet)
    )
    root = xml.parse(network.build(config))
    assert [element.tag for element in root] == ["name", "forward", "bridge", "ip"]
    assert root.findtext("name") == name
    found = root.find("bridge")
    assert found is not None
    assert found.attrib == {"name": bridge, "stp": "off", "delay": "0"}
    assert root.find("ip/dhcp") is None
