"""Deterministic names and tokens: anything can be found, adopted or reaped by them."""

import re

from immutable.errors import InvalidInput
from immutable.model import (
    DeploymentId,
    FleetName,
    LedgerId,
    ReleaseNumber,
    ServiceName,
    Token,
    digest_of,
)

MAX_NAME_CHARS = 31
"""Fits AWS target groups (32), GCP resources (63) and Azure scale sets (64)."""
_SERVICE = re.compile(r"[a-z][a-z0-9-]{0,18}[a-z0-9]")
_HASH_CHARS = 6


def check_service_name(name: object) -> ServiceName:
    """Return a name that every provider accepts.

    Raises:
        InvalidInput: it is not 2 to 20 of ``[a-z0-9-]``, beginning with a letter.
    """
    if not isinstance(name, str) or not _SERVICE.fullmatch(name) or "--" in name:
        raise InvalidInput(
            f"service name {name!r} is not portable between providers",
            hint="use 2 to 20 of a-z, 0-9 and single hyphens, beginning with a letter",
        )
    return ServiceName(name)


def fleet_name(
    service: ServiceName, release: ReleaseNumber, deployment: DeploymentId
) -> FleetName:
    """Return ``<service>-v<release>-<hash>``, at most 31 characters."""
    stem = f"{service}-v{release}-"
    chars = min(_HASH_CHARS, MAX_NAME_CHARS - len(stem))
    return FleetName(stem + digest_of("fleet", service, deployment)[:chars])


def token_of(
    ledger: LedgerId, deployment: DeploymentId, step: str, subject: str
) -> Token:
    """Return the token of one step: the same after a crash, another for another step."""
    return Token(digest_of("token", ledger, deployment, step, subject)[:32])
