"""The image side of the backend: AMIs, found by exact id."""

from collections.abc import Callable, Iterator
from datetime import datetime

import attrs

from immutable import host
from immutable.errors import BackendError, InvalidInput, UnknownImage
from immutable.images.recipe import Recipe
from immutable.model import Image, ImageId
from immutable_aws.amis import catalog, leasing, sharing
from immutable_aws.amis.ami import RECIPE, Ami
from immutable_aws.amis.catalog import OWN, is_id
from immutable_aws.building.depot import Depot
from immutable_aws.building.ending import discard
from immutable_aws.building.making import Making
from immutable_aws.building.remains import Remains
from immutable_aws.checking import room
from immutable_aws.checking.room import Kind
from immutable_aws.config import AwsConfig
from immutable_aws.errors import NAME
from immutable_aws.session import Aws, aws_of


@attrs.frozen(kw_only=True)
class AwsImages:
    """AMIs of this account, and of the owners that the config names."""

    aws: Aws
    config: AwsConfig
    _found: dict[ImageId, tuple[datetime, Image]] = attrs.field(
        init=False, factory=dict, eq=False, repr=False
    )

    def find(self, image: ImageId) -> Image | None:
        """Return the AMI with exactly this id, or None when there is none.

        Asked twice within half of ``staleness``, it answers once from memory.
        Its digest covers what EC2 says that identifies it: see `immutable_aws.amis.ami`.

        Raises:
            UnknownImage: it is a name, or an alias.
            InvalidInput: it is of an owner whom the config does not name.
            Unavailable: it is not available yet.
            BackendError: it is disabled, or its creation has failed.
        """
        if not is_id(image):
            return None
        return self._lately(image) or self._look_up(image)

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
            Unavailable: EC2 has been making the recipe's image for hours.
            BackendError: the recipe's image is disabled.
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
            Taken: somebody has leased it.
            PermissionDenied: it is gone, and snapshots could not be deleted with it; the
                hint names them. So with other errors of EC2's.
            BackendError: it is protected from deregistration.
        """
        self._found.pop(image, None)
        if not catalog.is_shaped(image):
            return
        found = catalog.look_up(self.aws, image, (OWN,))
        if found is None or found.state == "deregistered":
            return
        leasing.check_free(found)
        if found.is_protected:
            raise BackendError(
                f"{image} is protected from deregistration",
                hint="unprotect it first, if nobody needs it",
                operation="images.delete",
                resource=image,
                backend=NAME,
            )
        discard(self.aws, found)

    def remarks(
        self, image: ImageId, kinds: tuple[Kind, ...] | None = None
    ) -> tuple[str, ...]:
        """Return what should be known of an image before it is launched.

        Args:
            image: its id.
            kinds: what is known of the config's instance types; None: it is asked for.

        Raises:
            InvalidInput: none of the config's instance types can boot it.
        """
        found = self._known(image)
        kinds = kinds or room.kinds(self.aws, self.config.instance_types)
        _check_architecture(found, kinds)
        return tuple(_remarks(found, host.current().now()))

    def copy(self, image: ImageId, region: str, *, key: str | None = None) -> Image:
        """Return a copy of an image in another region: see `immutable_aws.amis.sharing.copy`.

        Raises:
            UnknownImage: it is not there.
            Taken: another image there has its name.
            BuildFailed: it could not be copied.
        """
        there = aws_of(attrs.evolve(self.config.place, region=region))
        found = self._known(image)
        return sharing.copy(there, found, region=self.config.region, key=key).image

    def share(self, image: ImageId, *accounts: str) -> None:
        """Let accounts launch an image.

        Raises:
            InvalidInput: one is no account.
        """
        sharing.share(self.aws, image, accounts, add=True)

    def unshare(self, image: ImageId, *accounts: str) -> None:
        """Let accounts no longer launch an image; what runs of it there stays.

        Raises:
            InvalidInput: one is no account.
        """
        sharing.share(self.aws, image, accounts, add=False)

    def deprecate(self, image: ImageId, *, at: datetime) -> None:
        """Have AWS say of an image, from then on, that nobody should begin to use it.

        Raises:
            InvalidInput: the time has no zone, or is over.
        """
        sharing.deprecate(self.aws, image, at=at)

    def protect(self, image: ImageId) -> None:
        """Have AWS refuse to deregister an image, whoever asks."""
        sharing.protect(self.aws, image)

    def unprotect(self, image: ImageId) -> None:
        """Let an image be deregistered again."""
        sharing.unprotect(self.aws, image)

    def lease(self, image: ImageId, *, holder: str, until: datetime) -> None:
        """Keep an image from being deleted by this library: see `immutable_aws.amis.leasing`.

        Raises:
            InvalidInput: a tag cannot say so.
        """
        leasing.lease(self.aws, image, holder=holder, until=until)

    def release(self, image: ImageId, *, holder: str) -> None:
        """End a holder's lease; one that has none is no error."""
        leasing.release(self.aws, image, holder=holder)

    def _lately(self, image: ImageId) -> Image | None:
        asked_at, found = self._found.pop(image, (None, None))
        if asked_at is None:
            return None
        is_old = host.current().now() - asked_at >= self.config.staleness / 2
        return None if is_old else found

    def _look_up(self, image: ImageId) -> Image | None:
        # making a client takes longer than asking, and makes no answer older
        _ = self.aws.reads.ec2
        asked_at = host.current().now()
        owners = (OWN, *self.config.image_owners)
        found = catalog.look_up(self.aws, image, owners)
        if found is None:
            _refuse_strangers(catalog.of_anybody(self.aws, image))
            return None
        if usable := _usable(found):
            self._found[image] = asked_at, usable
        return usable

    def _known(self, image: ImageId) -> Ami:
        owners = (OWN, *self.config.image_owners)
        found = catalog.look_up(self.aws, image, owners) if is_id(image) else None
        if found is None:
            raise UnknownImage(f"there is no image {image}", backend=NAME)
        return found


def _check_architecture(ami: Ami, kinds: tuple[Kind, ...]) -> None:
    if any(ami.architecture in kind.architectures for kind in kinds):
        return
    names = ", ".join(kind.name for kind in kinds)
    raise InvalidInput(
        f"{ami.id} is for {ami.architecture}, which {names} cannot boot",
        hint="choose another image, or other ?instance_types=",
        backend=NAME,
    )


def _remarks(ami: Ami, now: datetime) -> Iterator[str]:
    ends = ami.deprecated_at
    if ends is not None:
        verb = "was" if ends <= now else "will be"
        yield f"{ami.id} ({ami.name}) {verb} deprecated at {ends:%Y-%m-%d %H:%MZ}"
    if ami.is_public and RECIPE in dict(ami.tags):
        yield f"{ami.id} is public: everybody can launch it"


def _usable(ami: Ami) -> Image | None:
    if ami.state == "available":
        return ami.image
    if ami.state == "deregistered":
        return None
    raise catalog.unusable(ami)


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
