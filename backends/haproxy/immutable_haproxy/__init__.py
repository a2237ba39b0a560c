"""The HAProxy switch: one map decides who gets the traffic, one command changes it.

`open_switch` is what the entry point group ``immutable.switches`` names. Beyond the
protocol, a `HAProxySwitch` has `preflight`, `shut_down` and `last_write`.
"""

from immutable_haproxy.config import HAProxyConfig, Probing, Timeouts
from immutable_haproxy.fence import WriteTimings
from immutable_haproxy.options import Address
from immutable_haproxy.switch import HAProxySwitch, open_switch

__all__ = [
    "Address",
    "HAProxyConfig",
    "HAProxySwitch",
    "Probing",
    "Timeouts",
    "WriteTimings",
    "open_switch",
]
