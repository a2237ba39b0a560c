"""How failed calls are classified: not applied, unknown, or permanent."""

import botocore.exceptions as sdk
import pytest

from immutable.errors import (
    Ambiguous,
    BackendError,
    InvalidInput,
    NotEnough,
    PermissionDenied,
    Taken,
    Unavailable,
)
from immutable_aws.errors import Effect, doing, effect_of
from immutable_aws.session import Aws, Place

URL = "https://ec2.eu-west-1.amazonaws.com"


def answered(code: str, status: int = 400) -> sdk.ClientError:
    """Return what botocore raises for an answer of AWS's."""
    answer = {
        "Error": {"Code": code, "Message": "said so"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return sdk.ClientError(answer, "Operation")


def unable(name: str) -> Exception:
    """Return what botocore raises where it finds no credentials, of any version."""
    kind = getattr(sdk, name, type(name, (Exception,), {}))
    found = kind.__new__(kind)
    Exception.__init__(found, "credentials")
    return found


CASES = [
    (answered("RequestLimitExceeded", 503), Effect.NOT_APPLIED, Unavailable),
    (answered("Throttling"), Effect.NOT_APPLIED, Unavailable),
    (answered("SlowDown", 503), Effect.NOT_APPLIED, Unavailable),
    (answered("ScalingActivityInProgress"), Effect.NOT_APPLIED, Unavailable),
    (sdk.EndpointConnectionError(endpoint_url=URL), Effect.NOT_APPLIED, Unavailable),
    (sdk.ConnectTimeoutError(endpoint_url=URL), Effect.NOT_APPLIED, Unavailable),
    (sdk.ReadTimeoutError(endpoint_url=URL), Effect.UNKNOWN, Ambiguous),
    (sdk.ConnectionClosedError(endpoint_url=URL), Effect.UNKNOWN, Ambiguous),
    (answered("InternalError", 500), Effect.UNKNOWN, Ambiguous),
    (answered("ServiceUnavailable", 503), Effect.UNKNOWN, Ambiguous),
    (OSError("the cable"), Effect.UNKNOWN, Ambiguous),
    (answered("UnauthorizedOperation", 403), Effect.PERMANENT, PermissionDenied),
    (answered("ExpiredToken", 403), Effect.PERMANENT, PermissionDenied),
    (sdk.NoCredentialsError(), Effect.PERMANENT, PermissionDenied),
    *(
        (unable(name), Effect.PERMANENT, PermissionDenied)
        for name in (
            "InvalidConfigError",
            "LoginInsufficientPermissions",
            "LoginRefreshRequired",
            "LoginTokenLoadError",
            "RefreshWithMFAUnsupportedError",
            "SSOTokenLoadError",
        )
    ),
    (RuntimeError("dictionary changed size"), Effect.UNKNOWN, Ambiguous),
    (answered("VcpuLimitExceeded"), Effect.PERMANENT, NotEnough),
    (answered("InsufficientInstanceCapacity", 500), Effect.PERMANENT, NotEnough),
    (answered("AlreadyExists"), Effect.PERMANENT, Taken),
    (answered("ValidationError"), Effect.PERMANENT, BackendError),
    (sdk.ParamValidationError(report="x"), Effect.PERMANENT, InvalidInput),
    (sdk.ProfileNotFound(profile="ci"), Effect.PERMANENT, InvalidInput),
]


@pytest.mark.parametrize(("error", "effect", "kind"), CASES)
def test_a_change_that_failed(error, effect, kind):
    """Only what surely had no effect, and may have one later, is repeated."""
    assert effect_of(error) is effect
    begin = doing(operation="ec2.X", resource="shop", changes=True)
    with pytest.raises(kind) as caught, begin:
        raise error
    assert type(caught.value) is kind
    assert caught.value.retryable == (effect is Effect.NOT_APPLIED)
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [c[0] for c in CASES if c[1] is Effect.UNKNOWN])
def test_a_reading_that_failed_had_no_effect(error):
    """Whatever became of it, the same reading may be made again."""

    def fail() -> None:
        raise error

    with pytest.raises(Unavailable) as caught:
        Aws(Place(region="eu-west-1")).read("ec2.X", "shop", fail)
    assert caught.value.retryable


def test_credentials_that_have_ended_are_no_mystery(monkeypatch):
    """What botocore raises of them, itself, is before anything is sent."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "KEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET")
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", "2020-01-01T00:00:00Z")
    aws = Aws(Place(region="eu-west-1"))
    delete = aws.changes.ec2.delete_volume
    with pytest.raises(PermissionDenied, match="still expired") as caught:
        aws.change("ec2.DeleteVolume", "vol-1", lambda: delete(VolumeId="vol-1"))
    assert "get-caller-identity" in caught.value.hint
    assert effect_of(caught.value.__cause__) is Effect.PERMANENT
