"""Which addresses instances have; pure."""

from collections.abc import Collection, Iterator
from ipaddress import IPv4Address, IPv4Network

_LOW_24_BITS = 0xFFFFFF


def gateway_of(subnet: IPv4Network) -> IPv4Address:
    """Return the host's own address in the subnet, which instances route through."""
    return subnet.network_address + 1


def capacity_of(subnet: IPv4Network) -> int:
    """Return how many instances the subnet has addresses for."""
    return subnet.num_addresses - 3  # the network, its broadcast, the gateway


def mac_of(address: IPv4Address) -> str:
    """Return the hardware address that belongs to an address.

    One follows from the other, so that an address that is used again is never sent to
    its former owner's hardware address out of somebody's ARP cache.
    """
    low = int(address) & _LOW_24_BITS
    # 52:54:00 is QEMU's prefix; its locally administered bit is set.
    return f"52:54:00:{low >> 16:02x}:{low >> 8 & 0xFF:02x}:{low & 0xFF:02x}"


def next_free(
    subnet: IPv4Network, *, used: Collection[IPv4Address], after: IPv4Address | None
) -> IPv4Address | None:
    """Return the first unused address after the one that was given out last.

    Going round leaves an address unused for as long as possible, which keeps those who
    remember its former owner from meeting a stranger there.
    """
    return next((a for a in _round(subnet, after) if a not in used), None)


def _round(subnet: IPv4Network, after: IPv4Address | None) -> Iterator[IPv4Address]:
    size = capacity_of(subnet)
    first = gateway_of(subnet) + 1
    start = 0 if after is None else int(after) - int(first) + 1
    for step in range(size):
        yield first + (start + step) % size
