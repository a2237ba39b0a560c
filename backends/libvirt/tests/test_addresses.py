"""Which addresses instances get."""

from ipaddress import IPv4Address, IPv4Network

from hypothesis import given
from hypothesis import strategies as st

from immutable_libvirt.addresses import capacity_of, gateway_of, mac_of, next_free

SMALL = IPv4Network("10.83.0.0/29")
HOSTS = [IPv4Address(f"10.83.0.{n}") for n in range(2, 7)]


def test_network_gateway_and_broadcast_are_never_given_out() -> None:
    """What is left is everything between them."""
    assert capacity_of(SMALL) == 5
    given_out: list[IPv4Address] = []
    while (free := next_free(SMALL, used=given_out, after=None)) is not None:
        given_out.append(free)
    assert given_out == HOSTS
    assert gateway_of(SMALL) == IPv4Address("10.83.0.1")


def test_addresses_go_round() -> None:
    """One that was just given back is the last to be given out again."""
    assert next_free(SMALL, used=(), after=HOSTS[0]) == HOSTS[1]
    assert next_free(SMALL, used=(), after=HOSTS[-1]) == HOSTS[0]


def test_none_is_left() -> None:
    """All in use: there is no answer, rather than somebody else's address."""
    assert next_free(SMALL, used=HOSTS, after=None) is None


@given(
    used=st.sets(st.sampled_from(HOSTS)),
    after=st.none() | st.ip_addresses(v=4),
)
def test_an_answer_is_free_and_inside(
    used: set[IPv4Address], after: IPv4Address | None
) -> None:
    """Wherever the last one came from, another subnet included."""
    free = next_free(SMALL, used=used, after=after)
    assert (free is None) == (used == set(HOSTS))
    assert free is None or (free in HOSTS and free not in used)


def test_hardware_addresses_are_local_and_distinct() -> None:
    """QEMU's prefix, and no two alike within the largest subnet allowed."""
    subnet = IPv4Network("10.83.0.0/16")
    macs = {mac_of(address) for address in subnet}
    assert len(macs) == subnet.num_addresses
    assert mac_of(IPv4Address("10.83.1.2")) == "52:54:00:53:01:02"
