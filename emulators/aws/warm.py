"""The first call of a service is slow: it is made before anybody waits for it."""

import io
from collections.abc import Callable, Iterable

Environ = dict[str, object]
App = Callable[[Environ, Callable[..., object]], Iterable[bytes]]
_CALLS = (
    ("ec2", "Action=DescribeImages&Owner.1=self&Version=2016-11-15"),
    ("autoscaling", "Action=DescribeAutoScalingGroups&Version=2011-01-01"),
    ("elasticloadbalancing", "Action=DescribeTargetGroups&Version=2015-12-01"),
)


def warm(app: App, region: str = "eu-west-1") -> None:
    """Make a call of each service that is slow at first."""
    for service, body in _CALLS:
        b"".join(app(_environ(service, region, body.encode()), _ignore))


def _environ(service: str, region: str, body: bytes) -> Environ:
    scope = f"Credential=warm/20260101/{region}/{service}/aws4_request"
    return {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/",
        "QUERY_STRING": "",
        "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80",
        "HTTP_HOST": "127.0.0.1",
        "HTTP_AUTHORIZATION": f"AWS4-HMAC-SHA256 {scope}, SignedHeaders=host, Signature=0",
        "CONTENT_TYPE": "application/x-www-form-urlencoded",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        "wsgi.url_scheme": "http",
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }


def _ignore(*_: object) -> None:
    """Take no notice of what is answered."""
