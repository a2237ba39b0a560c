"""An AMI as the library sees it, made of what EC2 lists.

EC2 shows no hash of what is in an AMI. It lets nobody change one either: the snapshots
that it is made of are read-only, and there is no call that gives an AMI others.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import attrs

from immutable.model import Digest, Image, ImageId, digest_of
from immutable_aws.errors import NAME
from immutable_aws.tagging import Pairs, pairs_of

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import ImageTypeDef

RECIPE, PARENT = "immutable-recipe", "immutable-parent"
FAILED = frozenset({"error", "failed", "invalid"})
"""The states of images that came to nothing."""
_GIBIBYTE = 1 << 30


@attrs.frozen(kw_only=True)
class Ami:
    """An AMI in whatever state it is. ``alias`` is AWS's name for some owners."""

    id: ImageId
    name: str
    state: str
    reason: str
    owner: str
    alias: str
    architecture: str
    created: str
    deprecated: str
    is_public: bool
    is_protected: bool
    size_bytes: int
    disks: tuple[tuple[str, str], ...]
    """The disks that are made for each instance: its name for them, and of which snapshot."""
    source: ImageId | None
    """What it is a copy of, or was baked upon; None: not known."""
    tags: Pairs

    @property
    def image(self) -> Image:
        """Return it as an image; see `digest` for what its digest covers."""
        tags = dict(self.tags)
        recipe, parent = tags.get(RECIPE), tags.get(PARENT)
        return Image(
            id=self.id,
            digest=self.digest,
            backend=NAME,
            size_bytes=self.size_bytes,
            recipe=Digest(recipe) if recipe else None,
            parent=ImageId(parent) if parent else self.source,
            built_at=_time(self.created),
        )

    @property
    def deprecated_at(self) -> datetime | None:
        """Return from when on it is deprecated; None: nobody has said so."""
        return _time(self.deprecated)

    @property
    def snapshots(self) -> tuple[str, ...]:
        """Return the snapshots that it is made of, sorted."""
        return tuple(sorted(snapshot for _, snapshot in self.disks))

    @property
    def digest(self) -> Digest:
        """Return the digest of what EC2 says that identifies an AMI.

        It covers the owner, the id, the snapshots and when it was made, none of which can
        be changed. It is no hash of the contents: equal contents under two ids, such as
        copies in two regions, have two digests. Tags do not count, for they can be changed.
        """
        return digest_of(
            "ami", self.owner, self.id, list(self.snapshots), _normal(self.created)
        )


def ami_of(row: "ImageTypeDef") -> Ami:
    """Return an AMI as it is listed."""
    mapped = [m for m in row.get("BlockDeviceMappings", []) if "Ebs" in m]
    disks = ((m.get("DeviceName", ""), m["Ebs"].get("SnapshotId", "")) for m in mapped)
    source = row.get("SourceImageId")
    return Ami(
        id=ImageId(row["ImageId"]),
        name=row.get("Name", ""),
        state=row["State"],
        reason=row.get("StateReason", {}).get("Message", ""),
        owner=row["OwnerId"],
        alias=row.get("ImageOwnerAlias", ""),
        architecture=row.get("Architecture", ""),
        created=row.get("CreationDate", ""),
        deprecated=row.get("DeprecationTime", ""),
        is_public=row.get("Public", False),
        is_protected=row.get("DeregistrationProtection", "").startswith("enabled"),
        size_bytes=_GIBIBYTE * sum(m["Ebs"].get("VolumeSize", 0) for m in mapped),
        disks=tuple(sorted((name, snapshot) for name, snapshot in disks if snapshot)),
        source=ImageId(source) if source else None,
        tags=pairs_of(row.get("Tags", [])),
    )


def _time(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)


def _normal(created: str) -> str:
    """Return a time as one text, however it was written."""
    found = _time(created)
    return found.isoformat() if found else created
