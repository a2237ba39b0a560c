"""AWS as a backend of `immutable`: Auto Scaling groups behind a load balancer.

What the entry points name is in `backend`, `switch` and `ledger`. Names load on first use,
and boto3 when the first call is made.
"""

from importlib import import_module

_HOMES = {
    "AwsBackend": "immutable_aws.backend",
    "AwsConfig": "immutable_aws.config",
    "Spot": "immutable_aws.config",
    "open_backend": "immutable_aws.backend",
}

__all__ = ["AwsBackend", "AwsConfig", "Spot", "open_backend"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
