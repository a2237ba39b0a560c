"""AWS as a backend of `immutable`: Auto Scaling groups behind a load balancer.

What the entry points name is in `backend`, `switch` and `ledger`. Names load on first use,
and boto3 when the first call is made.
"""

from importlib import import_module

_HOMES = {
    "AwsBackend": "immutable_aws.backend",
    "AwsConfig": "immutable_aws.config",
    "S3Store": "immutable_aws.ledger",
    "Spot": "immutable_aws.config",
    "find_images": "immutable_aws.finding",
    "no_more_5xx_than": "immutable_aws.judging",
    "open_backend": "immutable_aws.backend",
    "with_agent": "immutable_aws.agent",
}

__all__ = [
    "AwsBackend",
    "AwsConfig",
    "S3Store",
    "Spot",
    "find_images",
    "no_more_5xx_than",
    "open_backend",
    "with_agent",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
