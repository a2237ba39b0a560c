"""Who signs what builders send: a request that was signed ends with the credentials.

So S3 says of URLs: "If you created a presigned URL using a temporary token, then the URL expires
when the token expires, even if the URL was created with a later expiration time".
https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-presigned-url.html
"""

import logging
from datetime import timedelta

import attrs

from immutable.durations import spell
from immutable_aws.session import Aws

_LOG = logging.getLogger("immutable.aws")
# Those that are had anew without asking anybody: botocore.credentials, ``METHOD``.
_RENEWED = frozenset({"assume-role-with-web-identity", "container-role", "iam-role"})


@attrs.frozen(kw_only=True)
class Signer:
    """Whose credentials sign, and what is to be said where they may end too early."""

    aws: Aws
    warning: str = ""


def signer_of(aws: Aws, span: timedelta) -> Signer:
    """Return who signs requests that are sent for so long, with credentials that last.

    botocore renews some in their last 15 minutes only: those that would end before are
    fetched once more. Of a session token without a time nobody knows when it ends.
    """
    if _lasts(aws, span):
        return Signer(aws=aws)
    found = aws.credentials()
    if found is not None and found.method in _RENEWED:
        aws = Aws(aws.place)
        if _lasts(aws, span):
            return Signer(aws=aws)
    warning = (
        f"the credentials end within {spell(span)}, which a build may take: with them end "
        "the requests that the builder was handed"
    )
    _LOG.warning(warning)
    return Signer(aws=aws, warning=warning)


def _lasts(aws: Aws, span: timedelta) -> bool:
    """Return whether credentials last so long; True where their end is not known."""
    ends_within = getattr(aws.credentials(), "refresh_needed", None)
    return ends_within is None or not ends_within(refresh_in=span.total_seconds())
