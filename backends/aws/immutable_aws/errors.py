"""What botocore's errors mean, classified once: not applied, unknown, or permanent.

A call that was refused had no effect. A call without an answer, or with a server's error,
may have had one: it is `Ambiguous` where it changes something, and never repeated blindly.
Which errors an operation declares is in botocore's own service models.
"""

import enum
from functools import partial

from immutable.authoring import Meaning, translated
from immutable.errors import (
    BackendError,
    ImmutableError,
    InvalidInput,
    NotEnough,
    PermissionDenied,
    Taken,
    Unavailable,
)

NAME = "aws"
_SERVER_ERROR = 500


class Effect(enum.StrEnum):
    """What is known of a failed call's effect."""

    NOT_APPLIED = "not applied"
    """There was none, and the same call may succeed later."""
    UNKNOWN = "unknown"
    PERMANENT = "permanent"
    """There was none, and the same call will fail again."""


# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/query-api-troubleshooting.html and
# botocore.retries.standard.ThrottledRetryableChecker
_THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_STALE_CREDENTIALS = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidToken",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "OptInRequired",
        "UnauthorizedOperation",
    }
)
_NO_ROOM = frozenset(
    {
        "InstanceLimitExceeded",
        "InsufficientCapacity",
        "InsufficientFreeAddressesInSubnet",
        "InsufficientInstanceCapacity",
        "LimitExceeded",
        "MaxSpotInstanceCountExceeded",
        "ResourceLimitExceeded",
        "TooManyListeners",
        "TooManyRegistrationsForTargetId",
        "TooManyRules",
        "TooManyTargetGroups",
        "TooManyTargets",
        "TooManyUniqueTargetGroupsPerLoadBalancer",
        "VcpuLimitExceeded",
    }
)
# A group or rule that is busy with something else; the same call succeeds afterwards.
_BUSY = frozenset(
    {
        "IdempotentCallInProgress",
        "OperationAborted",
        "ResourceContention",
        "ScalingActivityInProgress",
    }
)
_TAKEN = frozenset(
    {
        "AlreadyExists",
        "DuplicateTargetGroupName",
        "InvalidAMIName.Duplicate",
        "InvalidLaunchTemplateName.AlreadyExistsException",
    }
)
_UNSENT = frozenset(
    {"ConnectTimeoutError", "EndpointConnectionError", "ProxyConnectionError"}
)
_STILL_EXPIRED = "StillExpired"
# By their names, which older versions of botocore do not all have.
_NO_CREDENTIALS = frozenset(
    {
        "ConfigParseError",
        "CredentialRetrievalError",
        "InfiniteLoopConfigError",
        "InvalidConfigError",
        "LoginError",
        "LoginInsufficientPermissions",
        "LoginRefreshRequired",
        "LoginTokenLoadError",
        "NoAuthTokenError",
        "NoCredentialsError",
        "PartialCredentialsError",
        "RefreshWithMFAUnsupportedError",
        "SSOError",
        "SSOTokenLoadError",
        "TokenRetrievalError",
        "UnauthorizedSSOTokenError",
        "UnknownCredentialError",
        _STILL_EXPIRED,
    }
)
_MEANINGLESS = frozenset(
    {
        "InvalidRegionError",
        "NoRegionError",
        "ParamValidationError",
        "ProfileNotFound",
    }
)
_CHAIN = (
    "the chain is: environment, profile, web identity, SSO, container, instance role; "
    "run: aws sts get-caller-identity"
)


def code_of(error: BaseException) -> str:
    """Return the code in a service's answer, or the name of what botocore raised."""
    answer = getattr(error, "response", None)
    if isinstance(answer, dict):
        return str(answer.get("Error", {}).get("Code", ""))
    return _STILL_EXPIRED if _is_expired(error) else type(error).__name__


def words_of(error: BaseException | None) -> str:
    """Return what a service says in its answer, in its own words; empty: nothing."""
    answer = getattr(error, "response", None)
    found = answer.get("Error", {}) if isinstance(answer, dict) else {}
    return str(found.get("Message", ""))


def said(error: ImmutableError) -> str:
    """Return the code that an error of ours was made of; empty where there is none."""
    return code_of(error.__cause__) if error.__cause__ else ""


def effect_of(error: BaseException) -> Effect:
    """Return what is known of the effect of a call that ended with this error."""
    code = code_of(error)
    if code in _THROTTLED | _BUSY | _UNSENT:
        return Effect.NOT_APPLIED
    # EC2 says that it has no room with a status of 500
    if code in _NO_CREDENTIALS | _MEANINGLESS | _NO_ROOM:
        return Effect.PERMANENT
    status = _status_of(error)
    refused = status is not None and status < _SERVER_ERROR
    return Effect.PERMANENT if refused else Effect.UNKNOWN


def meaning_of(error: Exception) -> Meaning | None:
    """Return what an error of botocore's comes to; None: whether it had effect is unknown."""
    effect = effect_of(error)
    if effect is Effect.UNKNOWN:
        return None
    kind, hint = _kind(code_of(error))
    return Meaning(kind=kind, hint=hint, retryable=effect is Effect.NOT_APPLIED)


def _is_expired(error: BaseException) -> bool:
    """Return whether credentials had ended before anything was sent.

    botocore.credentials, ``RefreshableCredentials`` has no class of its own for it.
    """
    return type(error) is RuntimeError and "are still expired" in str(error)


def _status_of(error: BaseException) -> int | None:
    answer = getattr(error, "response", None)
    found = answer.get("ResponseMetadata", {}) if isinstance(answer, dict) else {}
    status = found.get("HTTPStatusCode")
    return status if isinstance(status, int) else None


def _kind(code: str) -> tuple[type[ImmutableError], str]:
    if code in _THROTTLED:
        return Unavailable, "AWS throttles this account; it is tried again, more slowly"
    if code in _BUSY:
        return Unavailable, "AWS is at work on it; the same call succeeds afterwards"
    if code in _UNSENT:
        return Unavailable, "check the region's name and the network"
    if code in _NO_CREDENTIALS | _STALE_CREDENTIALS:
        return PermissionDenied, _CHAIN
    if code in _DENIED:
        return (
            PermissionDenied,
            "compare the role's policy with docs/reference/aws-policies.md",
        )
    if code in _NO_ROOM:
        return NotEnough, "raise the quota, retire fleets, or name other instance types"
    if code in _TAKEN:
        return Taken, "something of this name is there that is not ours"
    if code in _MEANINGLESS:
        return InvalidInput, "check the options of the URL"
    return BackendError, ""


doing = partial(translated, meaning_of, backend=NAME)
