"""The image side of the backend: AMIs, found by exact id."""

from collections.abc import Callable

import attrs

from immutable import host
from immutable.errors import BackendError, InvalidInput, Unavailable
from immutable.images.recipe import Recipe
from immutable.model import Image, ImageId
from immutable_aws import catalog
from immutable_aws.ami import Ami
from immutable_aws.building.depot import Depot
from immutable_aws.building.making import Making
from immutable_aws.building.remains import Remains
from immutable_aws.catalog import OWN, is_id
from immutable_aws.config import AwsConfig
from immutable_aws.errors import NAME, said
from immutable_aws.session import Aws

_GONE = frozenset({"InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"})


@attrs.frozen(kw_only=True)
class AwsImages:
    """AMIs of this account, and of the owners that the config names."""

    aws: Aws
    config: AwsConfig

    def find(self, image: ImageId) -> Image | None:
        """Return the AMI with exactly this id, or None when there is none.

        Its digest covers what EC2 says that identifies it: see `immutable_aws.ami`.

        Raises:
            UnknownImage: it is a name, or an alias.
            InvalidInput: it is of an owner whom the config does not name.
            Unavailable: it is not available yet.
            BackendError: it is disabled, or its creation has failed.
        """
        if not is_id(image):
            return None
        owners = (OWN, *self.config.image_owners)
        found = catalog.look_up(self.aws, image, owners)
        if found is None:
            _refuse_strangers(catalog.of_anybody(self.aws, image))
            return None
        return _usable(found)

    def build(self, recipe: Recipe, *, on_output: Callable[[str], None]) -> Image:
        """Build a recipe in a builder and return its image; see `immutable_aws.building`.

        One whose image is there is returned unbuilt, whoever built it in this account and
        region. It begins from an AMI; its packages are not pinned.

        Raises:
            InvalidInput: no bucket is configured, or the base is not what it was.
            UnknownImage: the base is gone.
            MissingFiles: the recipe names files that are not there.
            Unsupported: it begins from no AMI, is locked, or has a layer of a kind that
                is not made here.
            NotEnough: EC2 has no room for a builder.
            BuildFailed: a layer failed; the message holds the last lines of its output.
            Taken: an image that is not the recipe's has the name that it would have.
        """
        making = Making(
            aws=self.aws,
            config=self.config,
            recipe=recipe,
            on_output=on_output,
            find=self.find,
        )
        return making.make()

    def sweep(self) -> tuple[str, ...]:
        """Destroy what dead builds left behind and has expired; return the names."""
        bucket = self.config.bucket
        depot = Depot(aws=self.aws, bucket=bucket) if bucket else None
        return Remains(aws=self.aws, depot=depot).sweep(host.current().now())

    def delete(self, image: ImageId) -> None:
        """Deregister an AMI of this account with its snapshots; one that is gone is no error.

        Snapshots that another AMI needs, too, stay: EC2 keeps them.

        Raises:
            BackendError: it is protected from deregistration.
        """
        if not catalog.is_shaped(image):
            return
        ec2 = self.aws.changes.ec2
        try:
            self.aws.change(
                "ec2.DeregisterImage",
                image,
                lambda: ec2.deregister_image(
                    ImageId=image, DeleteAssociatedSnapshots=True
                ),
            )
        except BackendError as exc:
            if said(exc) not in _GONE:
                raise


def _usable(ami: Ami) -> Image | None:
    if ami.state == "available":
        return ami.image
    if ami.state == "deregistered":
        return None
    if ami.state == "pending":
        raise Unavailable(
            f"{ami.id} is pending: EC2 is still making it",
            hint=f"run: aws ec2 wait image-available --image-ids {ami.id}",
            operation="images.find",
            resource=ami.id,
            backend=NAME,
        )
    raise BackendError(
        f"{ami.id} cannot be launched: it is {ami.state}. {ami.reason}".strip(),
        hint="choose another image, or enable it",
        operation="images.find",
        resource=ami.id,
        backend=NAME,
    )


def _refuse_strangers(ami: Ami | None) -> None:
    if ami is None or ami.state == "deregistered":
        return
    whose = f"{ami.alias} ({ami.owner})" if ami.alias else ami.owner
    raise InvalidInput(
        f"{ami.id} ({ami.name}) is of {whose}, whose images are not launched",
        hint=f"if you trust them: ?image_owners={ami.alias or ami.owner}",
        operation="images.find",
        resource=ami.id,
        backend=NAME,
    )
