"""The NAT network of our instances: made when missing, verified when there."""

import re
import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from xml.etree.ElementTree import Element

import libvirt

from immutable.errors import Taken, Unavailable
from immutable_libvirt.addresses import gateway_of, mac_of
from immutable_libvirt.config import LibvirtConfig
from immutable_libvirt.errors import BACKEND, is_absent, translated
from immutable_libvirt.locks import exclusive
from immutable_libvirt.xml import add, parse, text_of

_INTERFACES = Path("/sys/class/net")
_ROUTES = Path("/proc/net/route")
_OTHER = "choose others with ?network=…&bridge=…&subnet=…"


def build(config: LibvirtConfig) -> str:
    """Return the network's XML: https://libvirt.org/formatnetwork.html."""
    root = Element("network")
    add(root, "name", config.network)
    add(root, "forward", mode="nat")
    # With STP a new port stays silent for four seconds, which would double a boot.
    add(root, "bridge", name=config.bridge, stp="off", delay="0")
    gateway, mask = gateway_of(config.subnet), config.subnet.netmask
    add(root, "ip", address=str(gateway), netmask=str(mask))
    return text_of(root)


def check(connection: libvirt.virConnect, config: LibvirtConfig) -> None:
    """Check that the network is there as configured, or could be made; change nothing.

    Raises:
        Taken: another network, bridge or route is in the way.
    """
    with translated("network.check", config.network):
        network = _lookup(connection, config.network)
        if network is None:
            _check_others(connection, config)
            _check_host(config)
        else:
            _verify(network, config)
            if not network.isActive():
                _check_host(config)


def ensure(
    connection: libvirt.virConnect, config: LibvirtConfig, *, lock: Path
) -> None:
    """Make the network unless it is there, and start it unless it runs.

    Raises:
        Taken: another network, bridge or route is in the way; nothing was changed.
        Unavailable: libvirt could not start it.
    """
    with exclusive(lock), translated("network.ensure", config.network, changes=True):
        network = _lookup(connection, config.network)
        if network is not None and network.isActive():
            _verify(network, config)
            return
        check(connection, config)
        network = network or connection.networkDefineXML(build(config))
        network.setAutostart(True)
        _start(network, config)


def reserve(
    connection: libvirt.virConnect,
    config: LibvirtConfig,
    address: IPv4Address,
    *,
    lock: Path,
) -> None:
    """Let the network hand out an address by DHCP, to the one machine that may have it.

    A reservation stays when the machine is gone: hardware addresses follow from
    addresses, so that it is right for whoever gets the address next.

    Raises:
        Unavailable: there is no such network.
    """
    host = Element("host", mac=mac_of(address), ip=str(address))
    with exclusive(lock), translated("network.reserve", config.network, changes=True):
        network = connection.networkLookupByName(config.network)
        there = parse(network.XMLDesc()).iterfind("ip/dhcp/host")
        if str(address) in {element.get("ip") for element in there}:
            return
        network.update(
            libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST,
            libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST,
            -1,  # the network has one subnet
            text_of(host),
            libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE
            | libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG,
        )


def _start(network: libvirt.virNetwork, config: LibvirtConfig) -> None:
    try:
        network.create()
    except libvirt.libvirtError as exc:
        message = f"libvirt cannot start the network {config.network}: {exc}"
        hint = "it needs root, iptables and dnsmasq-base, and a kernel with bridges"
        raise Unavailable(
            message, hint=hint, operation="network.ensure", backend=BACKEND
        ) from exc


def _lookup(connection: libvirt.virConnect, name: str) -> libvirt.virNetwork | None:
    try:
        return connection.networkLookupByName(name)
    except libvirt.libvirtError as exc:
        if is_absent(exc):
            return None
        raise


def _verify(network: libvirt.virNetwork, config: LibvirtConfig) -> None:
    found, wanted = _traits(network.XMLDesc()), _traits(build(config))
    if found != wanted:
        theirs = ", ".join(f"{k}={v}" for k, v in found.items() if v != wanted[k])
        raise _taken(
            f"libvirt network {config.network} exists with other settings ({theirs})",
            f"remove it (virsh net-destroy, virsh net-undefine) or {_OTHER}",
        )


def _traits(text: str) -> dict[str, str]:
    """Return what instances depend on; libvirt adds a UUID, MAC and more by itself."""
    root = parse(text)
    bridge, address = _attributes(root, "bridge"), _attributes(root, "ip")
    return {
        "forward": _attributes(root, "forward").get("mode", "none"),
        "bridge": bridge.get("name", ""),
        "stp": bridge.get("stp", "on"),
        "delay": bridge.get("delay", "0"),
        "ip": str(_subnet_of(address)),
    }


def _attributes(root: Element, tag: str) -> dict[str, str]:
    element = root.find(tag)
    return {} if element is None else dict(element.attrib)


def _subnet_of(address: dict[str, str]) -> IPv4Network | None:
    mask = address.get("netmask") or address.get("prefix")
    if mask is None or address.get("family", "ipv4") != "ipv4":
        return None
    return IPv4Network(f"{address['address']}/{mask}", strict=False)


def _check_others(connection: libvirt.virConnect, config: LibvirtConfig) -> None:
    for network in connection.listAllNetworks():
        text = network.XMLDesc()
        if _traits(text)["bridge"] == config.bridge:
            raise _taken(
                f"bridge {config.bridge} belongs to libvirt network {network.name()}",
                _OTHER,
            )
        if any(config.subnet.overlaps(other) for other in _subnets(text)):
            raise _taken(
                f"subnet {config.subnet} overlaps libvirt network {network.name()}",
                _OTHER,
            )


def _subnets(text: str) -> Iterator[IPv4Network]:
    for element in parse(text).iterfind("ip"):
        subnet = _subnet_of(dict(element.attrib))
        if subnet is not None:
            yield subnet


def _check_host(config: LibvirtConfig) -> None:
    if (_INTERFACES / config.bridge).exists():
        raise _taken(f"an interface called {config.bridge} already exists", _OTHER)
    for interface, subnet in routes(_ROUTES.read_text()):
        if config.subnet.overlaps(subnet):
            raise _taken(
                f"subnet {config.subnet} overlaps {subnet}, routed to {interface}",
                _OTHER,
            )


def routes(table: str) -> Iterator[tuple[str, IPv4Network]]:
    """Yield interface and destination of each route but the default one.

    Args:
        table: ``/proc/net/route``; addresses are hexadecimal in the host's byte order.
    """
    for line in table.splitlines()[1:]:
        fields = re.split(r"\s+", line.strip())
        mask = _dotted(fields[7])
        if mask != "0.0.0.0":  # noqa: S104 - a mask in a table, not a place to bind
            yield fields[0], IPv4Network(f"{_dotted(fields[1])}/{mask}")


def _dotted(field: str) -> str:
    return socket.inet_ntoa(struct.pack("=L", int(field, 16)))


def _taken(message: str, hint: str) -> Taken:
    return Taken(message, hint=hint, operation="network.check", backend=BACKEND)
