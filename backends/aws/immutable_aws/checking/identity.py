"""Whose credentials these are, whether they are of the right account, and for how long."""

import os
from datetime import UTC, datetime, timedelta

import attrs

from immutable import host
from immutable.durations import spell
from immutable.errors import PermissionDenied
from immutable_aws.errors import NAME
from immutable_aws.session import Aws

SHORTEST = timedelta(minutes=5)
"""Credentials that end sooner are refused: not even a rollback would be safe."""
SHORT = timedelta(hours=1)
_ROLE_PARTS = 3


@attrs.frozen(kw_only=True)
class Caller:
    """Who AWS says we are."""

    account: str
    arn: str

    @property
    def principal(self) -> str | None:
        """Return the ARN of the user or role whose policies count; None: the root user.

        A role's session is named after the role, without the role's path:
        https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html
        """
        partition, resource = self.arn.split(":")[1], self.arn.split(":", 5)[-1]
        parts = resource.split("/")
        if parts[0] == "assumed-role" and len(parts) == _ROLE_PARTS:
            return f"arn:{partition}:iam::{self.account}:role/{parts[1]}"
        return None if resource == "root" else self.arn


def check_caller(aws: Aws) -> Caller:
    """Return who we are, in the account that was asked for.

    Raises:
        PermissionDenied: there are no credentials, or they are of another account.
    """
    said = aws.read(
        "sts.GetCallerIdentity", aws.place.region, aws.reads.sts.get_caller_identity
    )
    caller = Caller(account=said["Account"], arn=said["Arn"])
    wanted = aws.place.account
    if wanted is not None and caller.account != wanted:
        raise PermissionDenied(
            f"{caller.arn} is of account {caller.account}, not of {wanted}",
            hint="choose another profile, or correct ?account=",
            operation="sts.GetCallerIdentity",
            backend=NAME,
        )
    return caller


def check_expiry(profile: str | None) -> tuple[str, ...]:
    """Return a warning where the credentials end within the hour.

    Only those that nobody renews: of the SDK's sources these are the environment's, whose
    end is in ``AWS_CREDENTIAL_EXPIRATION``. They are not used where a profile is named, nor
    where they lack a key: botocore.credentials, ``create_credential_resolver`` and
    ``EnvProvider``.

    Args:
        profile: the one that the address names.

    Raises:
        PermissionDenied: they end within 5 minutes, or have ended.
    """
    if profile is not None or not os.environ.get("AWS_ACCESS_KEY_ID"):
        return ()
    ends = _end(os.environ.get("AWS_CREDENTIAL_EXPIRATION", ""))
    left = ends - host.current().now() if ends else SHORT
    if left >= SHORT:
        return ()
    said = f"the credentials in the environment end at {ends:%Y-%m-%d %H:%M:%SZ}"
    if left < SHORTEST:
        hint = f"get new ones, for {spell(SHORT)} at least"
        raise PermissionDenied(said, hint=hint, backend=NAME)
    return (f"{said}: a deployment that takes longer needs recover()",)


def _end(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
