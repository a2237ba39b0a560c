"""Leases of images: tags that say who needs an image, and until when.

``immutable-lease:<holder>`` has the time of its end. They keep this library from deleting an
image, in whichever ledger it is asked to. They are no lock: an image may be leased between the
look and the deletion. What keeps everybody from deregistering an image is AWS's own
deregistration protection, which is switched on and off as a whole.
"""

import re
from datetime import UTC, datetime

import attrs

from immutable import host
from immutable.errors import Ambiguous, InvalidInput, Taken
from immutable.model import ImageId
from immutable.retrying import retrying
from immutable_aws.amis.ami import Ami
from immutable_aws.errors import NAME
from immutable_aws.session import Aws

_KEY = "immutable-lease:"
_HOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/@-]{0,99}")


@attrs.frozen(kw_only=True)
class Lease:
    """Who needs an image, until when."""

    holder: str
    until: datetime


def leases_of(ami: Ami) -> tuple[Lease, ...]:
    """Return the leases of an image, also those that have ended; others' tags are none."""
    found = (
        (key.removeprefix(_KEY), _time(value)) for key, value in ami.tags if _KEY in key
    )
    return tuple(Lease(holder=name, until=until) for name, until in found if until)


def check_free(ami: Ami) -> None:
    """Refuse to delete an image that somebody needs.

    Raises:
        Taken: naming who does.
    """
    now = host.current().now()
    held = [lease for lease in leases_of(ami) if lease.until > now]
    if held:
        whose = ", ".join(
            f"{lease.holder} until {lease.until:%Y-%m-%d}" for lease in held
        )
        raise Taken(
            f"{ami.id} is leased: {whose}",
            hint="release it, or wait until the lease has ended",
            operation="images.delete",
            resource=ami.id,
            backend=NAME,
        )


def lease(aws: Aws, image: ImageId, *, holder: str, until: datetime) -> None:
    """Lease an image; another lease of the same holder is replaced.

    Raises:
        InvalidInput: the holder has no name that a tag can have, or the time no zone.
    """
    if until.tzinfo is None:
        raise InvalidInput(f"{until} has no time zone", hint="use datetime.now(UTC)")
    value = until.astimezone(UTC).isoformat(timespec="seconds")
    tags = [{"Key": _key(holder), "Value": value}]
    ec2 = aws.changes.ec2
    retrying(
        lambda: aws.change(
            "ec2.CreateTags",
            image,
            lambda: ec2.create_tags(Resources=[image], Tags=tags),  # type: ignore[arg-type]  # a dict of two texts is one
        ),
        host=host.current(),
        also=(Ambiguous,),
    )


def release(aws: Aws, image: ImageId, *, holder: str) -> None:
    """End a holder's lease; one that has none is no error."""
    ec2 = aws.changes.ec2
    tags = [{"Key": _key(holder)}]
    retrying(
        lambda: aws.change(
            "ec2.DeleteTags",
            image,
            lambda: ec2.delete_tags(Resources=[image], Tags=tags),  # type: ignore[arg-type]  # a dict of one text is one
        ),
        host=host.current(),
        also=(Ambiguous,),
    )


def _key(holder: str) -> str:
    if not _HOLDER.fullmatch(holder):
        raise InvalidInput(
            f"{holder!r} cannot hold a lease", hint="use letters, digits and ._/@-"
        )
    return f"{_KEY}{holder}"


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else None
