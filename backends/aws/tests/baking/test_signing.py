"""What is signed for a builder is signed by credentials that last, or it is said."""

import base64
import gzip
import json
import os
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import attrs
import pytest
from bakes import alive, baking_of, unheard
from builders import REGION, Builders

from immutable.baking import Bake
from immutable.errors import BuildFailed
from immutable.images.recipe import Recipe
from immutable.model import ImageId, Token
from immutable_aws.building.signing import signer_of
from immutable_aws.images import AwsImages
from immutable_aws.session import Aws, Place

_HOUR = timedelta(hours=1)


class _Role(ThreadingHTTPServer):
    """The credentials of a container's role, each time others, as the agent serves them."""

    def __init__(self, *spans: timedelta) -> None:
        super().__init__(("127.0.0.1", 0), _Credentials)
        self.spans = list(spans)
        self.count = 0


class _Credentials(BaseHTTPRequestHandler):
    server: _Role

    def do_GET(self) -> None:
        """Serve the next ones; the last ones again and again."""
        span = self.server.spans[min(self.server.count, len(self.server.spans) - 1)]
        self.server.count += 1
        found = {
            "AccessKeyId": f"key-{self.server.count}",
            "SecretAccessKey": "secret",
            "Token": "token",
            "Expiration": _spelled(span),
        }
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(found).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _spelled(span: timedelta) -> str:
    return (datetime.now(UTC) + span).isoformat(timespec="seconds")


@pytest.fixture
def role(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Role]:
    """Return a role whose credentials last for 20 minutes, and for six hours after that."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, os.devnull)
    with _Role(timedelta(minutes=20), timedelta(hours=6)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            f"http://127.0.0.1:{server.server_port}/",
        )
        yield server
        server.shutdown()
        thread.join()


def test_credentials_that_last_sign(role: _Role) -> None:
    """Nothing is fetched anew for what they outlast."""
    aws = Aws(Place(region=REGION))
    signer = signer_of(aws, timedelta(minutes=16))
    assert (signer.aws, signer.warning, role.count) == (aws, "", 1)


def test_those_that_would_end_before_are_had_anew(role: _Role) -> None:
    """A role's credentials are fetched once more, and only for what is signed."""
    aws = Aws(Place(region=REGION))
    signer = signer_of(aws, _HOUR)
    found, own = signer.aws.credentials(), aws.credentials()
    assert found is not None
    assert own is not None
    assert (found.access_key, own.access_key) == ("key-2", "key-1")
    assert signer.warning == ""


def test_what_ends_all_the_same_is_said(
    role: _Role, caplog: pytest.LogCaptureFixture
) -> None:
    """Those that are new may be no better."""
    role.spans = [timedelta(minutes=20)]
    signer = signer_of(Aws(Place(region=REGION)), _HOUR)
    assert "end within 1h" in signer.warning
    assert signer.warning in caplog.text


def test_a_builder_is_handed_what_they_have_signed(
    parent: ImageId, images: AwsImages, account: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both what it fetches and what it sends; all else is asked for by our own."""
    with monkeypatch.context() as changed:
        changed.setenv("AWS_ACCESS_KEY_ID", "AKIALASTING")
        lasting = Aws(Place(region=REGION))
        lasting.credentials()
    baking = attrs.evolve(baking_of(images, parent), signing=lasting)
    order = Bake(parent=parent, works=())
    token, ends = Token("0" * 32), datetime.now(UTC) + _HOUR
    builder = baking.start(order, token=token, expires_at=ends)
    (instance,) = alive(account)
    told = account.describe_instance_attribute(
        InstanceId=instance, Attribute="userData"
    )
    text = gzip.decompress(base64.b64decode(told["UserData"]["Value"])).decode()
    assert text.count("AKIALASTING") == 2
    builder.destroy()


@pytest.mark.skipif(os.geteuid() != 0, reason="makes a root: needs root")
def test_a_build_that_fails_says_that_its_requests_may_have_ended(
    base: Recipe,
    images: AwsImages,
    builders: Builders,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A session of the environment cannot be renewed: whoever gave it has to."""
    del builders
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", _spelled(timedelta(minutes=20)))
    short = attrs.evolve(images, aws=Aws(Place(region=REGION)))
    short.build(base.run("true"), on_output=unheard)
    with pytest.raises(BuildFailed) as caught:
        short.build(base.run("exit 3"), on_output=unheard)
    assert "the credentials end within" in caught.value.hint
    monkeypatch.delenv("AWS_CREDENTIAL_EXPIRATION")
    with pytest.raises(BuildFailed) as caught:
        images.build(base.run("exit 3"), on_output=unheard)
    assert "credentials" not in caught.value.hint
