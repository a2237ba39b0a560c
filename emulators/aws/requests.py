"""Which operation of which service a request is for, and who asks."""

import io
import re
from urllib.parse import parse_qs

import attrs

Environ = dict[str, object]
_CREDENTIAL = re.compile(r"Credential=([^/]+)/\d+/([^/]+)/([^/]+)/")
_SERVICES = {
    "elasticloadbalancing": "elbv2",
    "monitoring": "cloudwatch",
    "servicequotas": "service-quotas",
}
_S3 = {
    "GET": "GetObject",
    "PUT": "PutObject",
    "HEAD": "HeadObject",
    "DELETE": "DeleteObject",
}
_BUCKET = {"GET": "ListObjects", "PUT": "CreateBucket", "HEAD": "HeadBucket"}
_PARTS = {"uploadId": "UploadPart", "uploads": "MultipartUpload", "tagging": "Tagging"}


@attrs.frozen(kw_only=True)
class Asked:
    """What a request asks for."""

    service: str
    operation: str
    region: str = ""
    key: str = ""
    """The access key id."""
    body: bytes = b""

    @property
    def name(self) -> str:
        """Return the action, as policies name it."""
        return f"{self.service}:{self.operation}"


def read(environ: Environ) -> Asked:
    """Read a request, and leave it as it was."""
    body = _body(environ)
    found = _CREDENTIAL.search(str(environ.get("HTTP_AUTHORIZATION", "")))
    key, region, signed = found.groups() if found else ("", "", "")
    service = _SERVICES.get(signed, signed)
    return Asked(
        service=service,
        operation=_operation(environ, service, body),
        region=region,
        key=key,
        body=body,
    )


def _body(environ: Environ) -> bytes:
    size = int(str(environ.get("CONTENT_LENGTH") or 0))
    stream = environ["wsgi.input"]
    chunked = "chunked" in str(environ.get("HTTP_TRANSFER_ENCODING", ""))
    if chunked or not size or not hasattr(stream, "read"):
        return b""
    body: bytes = stream.read(size)
    environ["wsgi.input"] = io.BytesIO(body)
    return body


def _operation(environ: Environ, service: str, body: bytes) -> str:
    target = str(environ.get("HTTP_X_AMZ_TARGET", ""))
    if target:
        return target.rpartition(".")[2]
    if service == "s3":
        return _of_s3(environ)
    form = str(environ.get("CONTENT_TYPE", "")).startswith("application/x-www-form")
    text = body.decode("latin-1") if form else str(environ.get("QUERY_STRING", ""))
    return parse_qs(text).get("Action", ["?"])[0]


def _of_s3(environ: Environ) -> str:
    method, path = str(environ["REQUEST_METHOD"]), str(environ["PATH_INFO"])
    query = parse_qs(str(environ.get("QUERY_STRING", "")), keep_blank_values=True)
    inside = path.strip("/").count("/") > 0
    if method == "POST":
        return "DeleteObjects" if "delete" in query else "MultipartUpload"
    if "list-type" in query:
        return "ListObjectsV2"
    for word, name in _PARTS.items():
        if word in query:
            return name
    return (_S3 if inside else _BUCKET).get(method, method)
