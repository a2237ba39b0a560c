"""What will not work at a load balancer as it is, said before anything is done. Pure.

"The DNS name of an Internet-facing load balancer is publicly resolvable to the public IP
addresses of the nodes" (botocore's model of `LoadBalancer.Scheme`): whoever connects, within
the VPC too, comes from a public address, its own or its NAT's, which no private network has.
"""

from ipaddress import ip_network

from immutable_aws.rules.balancers import Balancer
from immutable_aws.switch_config import PRIVATE, AlbConfig

_PUBLIC = "internet-facing"
# what nobody on the internet comes from, and VPCs may have: RFC 1918, RFC 6598, RFC 4193
_PRIVATE = tuple(map(ip_network, (*PRIVATE, "100.64.0.0/10", "fc00::/7")))


def doubts(config: AlbConfig, above: Balancer, protocol: str | None) -> tuple[str, ...]:
    """Return warnings, one line each.

    Args:
        config: what the switch was told.
        above: the load balancer.
        protocol: what the listener speaks; None: unknown.
    """
    told = []
    if above.scheme == _PUBLIC and all(map(_is_private, config.preview_from)):
        told.append(
            "the load balancer is internet-facing, and preview_from= names private "
            "networks alone: a deployer reaches it from a public address, also from "
            "within the VPC, and gets 503 on the preview route, so that validators that "
            "speak HTTP fail; give preview_from= that address, its own or its NAT's"
        )
    if protocol == "HTTPS" and config.named_host is None:
        told.append(
            f"the listener speaks HTTPS, and hosts= names no host: no certificate fits "
            f"{above.host}, so that validators that speak HTTP fail; name a host first"
        )
    return tuple(told)


def _is_private(text: str) -> bool:
    network = ip_network(text)
    return any(
        network.version == private.version and network.subnet_of(private)  # type: ignore[arg-type]  # of one version, as is checked before
        for private in _PRIVATE
    )
