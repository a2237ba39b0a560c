"""From a recipe to its image: found by its name, or baked by whoever's turn it is."""

import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import attrs

from immutable import host
from immutable.baking import Bake
from immutable.errors import (
    BuildFailed,
    InvalidInput,
    UnknownImage,
    Unsupported,
)
from immutable.host import Never
from immutable.images.baked import bake
from immutable.images.origins import Existing, Origin
from immutable.images.recipe import Recipe
from immutable.model import Image, ImageId, Token, digest_of
from immutable_aws.amis import catalog
from immutable_aws.amis.ami import FAILED, PARENT, RECIPE, Ami
from immutable_aws.building.baker import AwsBaking
from immutable_aws.building.builder import check_own
from immutable_aws.building.depot import Depot
from immutable_aws.building.ending import discard
from immutable_aws.building.layers import works_of
from immutable_aws.building.remains import MAKING, Remains
from immutable_aws.building.signing import signer_of
from immutable_aws.building.turns import Turn
from immutable_aws.config import AwsConfig
from immutable_aws.errors import NAME
from immutable_aws.session import Aws

FORMAT = 1
"""Raised when the same recipe comes to be made in another way."""
_LOOK = timedelta(seconds=5)


@attrs.frozen(kw_only=True)
class Making:
    """The making of one recipe's image."""

    aws: Aws
    config: AwsConfig
    recipe: Recipe
    on_output: Callable[[str], None]
    find: Callable[[ImageId], Image | None]

    @property
    def name(self) -> str:
        """Return the name that the recipe's image has, and no other of the account."""
        made = digest_of("aws image", FORMAT, self.recipe.digest)
        return f"immutable/{made}"

    def make(self) -> Image:
        """Return the image, built unless it is there.

        Raises:
            ImmutableError: see `immutable_aws.images.AwsImages.build`.
        """
        if (there := self._there()) is not None:
            return there.image
        parent = self._parent()
        depot = Depot.of(self.aws, self.config.bucket, self.recipe)
        with tempfile.TemporaryDirectory() as scratch:
            works = works_of(self.recipe.layers, Path(scratch))
            return self._in_turn(depot, parent, Bake(parent=parent.id, works=works))

    def _in_turn(self, depot: Depot, parent: Ami, order: Bake) -> Image:
        """Build when nobody else does; else wait for theirs."""
        here = host.current()
        token = Token(here.unique())
        turn = Turn(depot=depot, name=self.name.partition("/")[2], token=token)
        while (holder := turn.take()) is not None:
            if turn.take_over(holder):
                Remains(aws=self.aws, depot=depot).destroy(holder.token)
                break
            here.sleep(_LOOK, Never())
            if (there := self._there()) is not None:
                return there.image
        try:
            # somebody may have ended between our look and our turn
            there = self._there() or self._baked(depot, parent, order, turn)
        finally:
            turn.leave()
        return there.image

    def _baked(self, depot: Depot, parent: Ami, order: Bake, turn: Turn) -> Ami:
        signer = signer_of(self.aws, order.longest)
        baking = AwsBaking(
            aws=self.aws,
            config=self.config,
            depot=depot,
            signing=signer.aws,
            parent=parent,
            name=self.name,
            tags=((PARENT, parent.id), (RECIPE, self.recipe.digest)),
            on_alive=turn.renew,
        )
        try:
            made = bake(baking, order, token=turn.token, on_output=self.on_output)
        except BuildFailed as exc:
            if signer.warning:
                exc.hint = f"{exc.hint}; it may be that {signer.warning}"
            raise
        found = catalog.look_up(self.aws, made, (catalog.OWN,))
        if found is None:
            raise BuildFailed(f"{made} is gone", hint="build again", backend=NAME)
        return found

    def _there(self) -> Ami | None:
        """Return the recipe's image once it is whole; one that came to nothing goes.

        Raises:
            Taken: another image has its name.
            Unavailable: EC2 has been making it for longer than that ever takes.
            BackendError: it is in a state that only others end, such as disabled.
        """
        here = host.current()
        until = here.now() + MAKING
        while (found := catalog.named(self.aws, self.name)) is not None:
            check_own(found, self.recipe.digest)
            if found.state != "pending" or here.now() >= until:
                return self._whole(found)
            # its snapshots are being made, whether or not its builder's caller lives
            here.sleep(_LOOK, Never())
        return None

    def _whole(self, found: Ami) -> Ami | None:
        if found.state == "available":
            return found
        if found.state in FAILED:
            discard(self.aws, found)
        elif found.state != "deregistered":
            raise catalog.unusable(found)
        return None

    def _parent(self) -> Ami:
        """Return the AMI that is built upon.

        Raises:
            Unsupported: the recipe begins from something else, or is locked.
            UnknownImage: it is gone.
            InvalidInput: it is not what it was.
        """
        image = _base(self.recipe.origin)
        if self.recipe.pins is not None:
            raise Unsupported(
                "a builder here installs what its sources have now, and no lock",
                hint="build the recipe without its lock",
                operation="images.build",
                backend=NAME,
            )
        found = self.find(image)
        if found is None:
            raise UnknownImage(f"there is no image {image}", backend=NAME)
        origin = self.recipe.origin
        if isinstance(origin, Existing) and found.digest != origin.content:
            raise InvalidInput(
                f"{image} is not the image that the recipe was written for",
                hint="begin it again: Recipe.on(…)",
                backend=NAME,
            )
        owners = (catalog.OWN, *self.config.image_owners)
        parent = catalog.look_up(self.aws, image, owners)
        if parent is None:
            raise UnknownImage(f"there is no image {image}", backend=NAME)
        return parent


def _base(origin: Origin) -> ImageId:
    if isinstance(origin, Existing):
        return origin.image
    if isinstance(origin, str) and catalog.is_shaped(origin):
        return ImageId(origin)
    raise Unsupported(
        f"a builder here boots an AMI, and {origin!r} is none",
        hint='begin from one: Recipe.base("ami-…")',
        operation="images.build",
        backend=NAME,
    )
