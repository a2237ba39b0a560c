"""Errors of AWS that come before an operation is looked at, spelled as each service does."""

import html
import json

import attrs

Answer = tuple[tuple[int, str], list[tuple[str, str]], bytes]
_JSON = {"logs", "service-quotas", "ssm", "dynamodb"}
_XML = "text/xml"


@attrs.frozen(kw_only=True)
class Refusal:
    """One error: its code, as the service at hand calls it, and its status."""

    code: str
    message: str
    status: int = 400

    def told(self, service: str) -> Answer:
        """Return it as the service's protocol has it.

        Source: botocore's parsers for the protocols ec2, query, rest-xml and json.
        """
        kind, body = self._body(service)
        headers = [("content-type", kind), ("content-length", str(len(body)))]
        return (self.status, "Refused"), headers, body

    def _body(self, service: str) -> tuple[str, bytes]:
        if service in _JSON:
            said = {"__type": self.code, "message": self.message}
            return "application/x-amz-json-1.1", json.dumps(said).encode()
        inner = (
            f"<Code>{self.code}</Code><Message>{html.escape(self.message)}</Message>"
        )
        if service == "ec2":
            text = f"<Response><Errors><Error>{inner}</Error></Errors></Response>"
        elif service == "s3":
            text = f"<Error>{inner}</Error>"
        else:
            text = f"<ErrorResponse><Error>{inner}</Error></ErrorResponse>"
        return _XML, text.encode()


def expired(service: str) -> Refusal:
    """Refuse a session that has ended.

    Source: EC2 error codes, ``RequestExpired``; common errors of the query services,
    ``ExpiredToken``; S3 error responses, ``ExpiredToken`` (400).
    """
    message = "The security token included in the request is expired"
    if service == "ec2":
        return Refusal(code="RequestExpired", message="Request has expired.")
    if service in _JSON:
        return Refusal(code="ExpiredTokenException", message=message)
    status = 400 if service == "s3" else 403
    return Refusal(code="ExpiredToken", message=message, status=status)


def unknown(service: str) -> Refusal:
    """Refuse an access key that does not exist.

    Source: EC2 error codes, ``AuthFailure``; common errors, ``InvalidClientTokenId``; S3 error
    responses, ``InvalidAccessKeyId``; the JSON services, ``UnrecognizedClientException``.
    """
    message = "The security token included in the request is invalid."
    if service == "ec2":
        said = "AWS was not able to validate the provided access credentials"
        return Refusal(code="AuthFailure", message=said, status=401)
    if service == "s3":
        said = "The AWS Access Key Id you provided does not exist in our records."
        return Refusal(code="InvalidAccessKeyId", message=said, status=403)
    if service in _JSON:
        return Refusal(code="UnrecognizedClientException", message=message)
    return Refusal(code="InvalidClientTokenId", message=message, status=403)


def denied(service: str, action: str) -> Refusal:
    """Refuse what the caller is not allowed.

    Source: EC2 error codes, ``UnauthorizedOperation``; common errors, ``AccessDenied``.
    """
    message = f"User is not authorized to perform: {action}"
    if service == "ec2":
        said = "You are not authorized to perform this operation."
        return Refusal(code="UnauthorizedOperation", message=said, status=403)
    code = "AccessDeniedException" if service in _JSON else "AccessDenied"
    return Refusal(code=code, message=message, status=403)


def throttled(service: str) -> Refusal:
    """Refuse what comes too often.

    Source: EC2 error codes, ``RequestLimitExceeded`` (503); common errors, ``Throttling``
    (400); S3 error responses, ``SlowDown`` (503); Logs, ``ThrottlingException``.
    """
    if service == "ec2":
        message = "Request limit exceeded."
        return Refusal(code="RequestLimitExceeded", message=message, status=503)
    if service == "s3":
        message = "Please reduce your request rate."
        return Refusal(code="SlowDown", message=message, status=503)
    code = "ThrottlingException" if service in _JSON else "Throttling"
    return Refusal(code=code, message="Rate exceeded")


def missing(service: str, resource: str) -> Refusal | None:
    """Refuse a resource that is not there yet; None where its service leaves it out.

    Source: EC2 user guide, "Eventual consistency": the id of what was just created may
    not be known everywhere yet, and the answer is that it does not exist.
    """
    for start, code in _NOT_FOUND.get(service, {}).items():
        if start in resource:
            return Refusal(code=code, message=f"The ID '{resource}' does not exist")
    return None


_NOT_FOUND = {
    "ec2": {
        "i-": "InvalidInstanceID.NotFound",
        "ami-": "InvalidAMIID.NotFound",
        "lt-": "InvalidLaunchTemplateId.NotFound",
        "snap-": "InvalidSnapshot.NotFound",
    },
    "elbv2": {
        ":listener-rule/": "RuleNotFound",
        ":listener/": "ListenerNotFound",
        ":targetgroup/": "TargetGroupNotFound",
    },
}
