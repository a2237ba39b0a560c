"""What builders leave: instances, their disks and objects, images that came to nothing.

Of images also the snapshots: EC2 keeps them, and charges for them, where it could not delete
them with their image.

Found by the tags of `immutable.baking.tags_of`, and by the names of prefixes.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

import attrs

from immutable.baking import expiry_of
from immutable.model import Token
from immutable_aws.amis import catalog
from immutable_aws.amis.ami import FAILED
from immutable_aws.building.depot import Depot
from immutable_aws.building.ending import delete_snapshots, discard, end
from immutable_aws.session import Aws
from immutable_aws.tagging import Pairs, pairs_of

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import FilterTypeDef

BAKE = "immutable-bake"
MAKING = timedelta(hours=2)
"""How long EC2 may be making an image: snapshots of large disks take long."""
# Whoever builds shows every 20 seconds that it lives.
_ABANDONED = timedelta(days=1)
_NOW = timedelta()
_THERE = ["pending", "running", "stopping", "stopped"]


@attrs.frozen(kw_only=True)
class Remains:
    """What bakes have left in one place; without a depot, no objects."""

    aws: Aws
    depot: Depot | None

    def destroy(self, token: Token, *known: str, staleness: timedelta = _NOW) -> None:
        """Destroy a bake's builder, and what it was handed; what is gone is no error.

        Args:
            token: the bake's.
            known: the builder's instance, where its id is known. One that was launched a
                moment ago need not be found by its tags yet.
            staleness: how long EC2 may say that a known one is not there.
        """
        filters: list[FilterTypeDef] = [{"Name": f"tag:{BAKE}", "Values": [token]}]
        for name in known:
            self._terminate(name, patience=staleness)
        for name, _ in self._instances(filters):
            if name not in known:
                self._terminate(name)
        if self.depot is not None:
            for place, _, whose in self.depot.places():
                if whose == token:
                    self.depot.clear(place)

    def sweep(self, now: datetime) -> tuple[str, ...]:
        """Destroy what has expired of every bake, and return the names."""
        return (
            *self._sweep_instances(now),
            *self._sweep_images(now),
            *self._sweep_snapshots(now),
            *self._sweep_disks(now),
            *self._sweep_objects(now),
        )

    def _sweep_instances(self, now: datetime) -> Iterator[str]:
        for name, tags in self._instances([{"Name": "tag-key", "Values": [BAKE]}]):
            if _is_over(tags, now):
                self._terminate(name)
                yield f"instance {name}"

    def _sweep_images(self, now: datetime) -> Iterator[str]:
        """Those that came to nothing only: what is available is somebody's image."""
        filters: list[FilterTypeDef] = [{"Name": "tag-key", "Values": [BAKE]}]
        for ami in catalog.listed(self.aws, "bakes", filters, (catalog.OWN,)):
            if ami.state in FAILED and _is_over(ami.tags, now):
                discard(self.aws, ami)
                yield f"image {ami.id}"

    def _sweep_snapshots(self, now: datetime) -> Iterator[str]:
        """Those of images that are gone; one that is still being made shows none yet."""
        pages = self.aws.reads.ec2.get_paginator("describe_snapshots").paginate(
            OwnerIds=["self"], Filters=[{"Name": "tag-key", "Values": [BAKE]}]
        )
        found = self.aws.read(
            "ec2.DescribeSnapshots",
            "bakes",
            lambda: [
                (row["SnapshotId"], pairs_of(row.get("Tags", [])))
                for page in pages
                for row in page["Snapshots"]
            ],
        )
        old = [name for name, tags in found if _is_over(tags, now - MAKING)]
        for name in delete_snapshots(self.aws, old):
            yield f"snapshot {name}"

    def _sweep_disks(self, now: datetime) -> Iterator[str]:
        """Volumes that nothing has attached; those of a builder go with it."""
        filters: list[FilterTypeDef] = [
            {"Name": "tag-key", "Values": [BAKE]},
            {"Name": "status", "Values": ["available"]},
        ]
        pages = self.aws.reads.ec2.get_paginator("describe_volumes").paginate(
            Filters=filters
        )
        found = self.aws.read(
            "ec2.DescribeVolumes",
            "bakes",
            lambda: [
                (row["VolumeId"], pairs_of(row.get("Tags", [])))
                for page in pages
                for row in page["Volumes"]
            ],
        )
        ec2 = self.aws.changes.ec2
        for name, tags in found:
            if _is_over(tags, now):
                deleting = partial(ec2.delete_volume, VolumeId=name)
                end(self.aws, "ec2.DeleteVolume", name, deleting)
                yield f"volume {name}"

    def _sweep_objects(self, now: datetime) -> Iterator[str]:
        if self.depot is None:
            return
        for place, ends, _ in self.depot.places():
            if ends < now:
                self.depot.clear(place)
                yield f"s3://{self.depot.bucket}/{place}"
        for turn in self.depot.turns(before=now - _ABANDONED):
            self.depot.clear(turn)
            yield f"s3://{self.depot.bucket}/{turn}"

    def _instances(self, filters: "list[FilterTypeDef]") -> list[tuple[str, Pairs]]:
        alive: FilterTypeDef = {"Name": "instance-state-name", "Values": _THERE}
        pages = self.aws.reads.ec2.get_paginator("describe_instances").paginate(
            Filters=[*filters, alive]
        )
        return self.aws.read(
            "ec2.DescribeInstances",
            "bakes",
            lambda: [
                (row["InstanceId"], pairs_of(row.get("Tags", [])))
                for page in pages
                for reservation in page["Reservations"]
                for row in reservation.get("Instances", [])
            ],
        )

    def _terminate(self, instance: str, *, patience: timedelta = _NOW) -> None:
        ec2 = self.aws.changes.ec2
        end(
            self.aws,
            "ec2.TerminateInstances",
            instance,
            lambda: ec2.terminate_instances(InstanceIds=[instance]),
            patience=patience,
        )


def _is_over(tags: Pairs, now: datetime) -> bool:
    ends = expiry_of(tags)
    return ends is not None and ends < now
