"""Builders on AWS: `immutable.baking.Baking`, whose result is an image."""

import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from immutable import host
from immutable.baking import Bake, Builder, tags_of
from immutable.errors import Ambiguous, ImmutableError
from immutable.host import Never
from immutable.images.bundling import write_bundle
from immutable.images.content import digest_of_file
from immutable.model import ImageId, Token
from immutable.retrying import retrying
from immutable_aws.amis.ami import Ami
from immutable_aws.building.builder import AwsBuilder
from immutable_aws.building.depot import Depot
from immutable_aws.building.remains import Remains
from immutable_aws.building.userdata import Signed, user_data
from immutable_aws.config import AwsConfig
from immutable_aws.session import Aws
from immutable_aws.tagging import to_tags

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import RunInstancesRequestTypeDef

_BUNDLE, _SAID = "bundle", "said/"


@attrs.frozen(kw_only=True)
class AwsBaking:
    """Throw-away instances that boot the parent, with no rights and no key to log in."""

    aws: Aws
    config: AwsConfig
    depot: Depot
    signing: Aws
    """Whose credentials sign what the builder sends; see `immutable_aws.building.signing`."""
    parent: Ami
    name: str
    """Of the image to be made. No two images of an account have one name."""
    tags: tuple[tuple[str, str], ...]
    """What the image carries beside the bake's own tags."""
    on_alive: Callable[[], None]
    """Called now and then while there is a builder; what it raises ends the bake."""

    def start(
        self, bake: Bake, *, token: Token, expires_at: datetime
    ) -> Builder[ImageId]:
        """Launch a builder that fetches its work by itself.

        Raises:
            NotEnough: there is no room for it; nothing is left of it.
        """
        remains = Remains(aws=self.aws, depot=self.depot)
        remains.destroy(token)
        place = self.depot.place(token, expires_at)
        try:
            told = user_data(bake, self._handed(bake, place))
            instance = self._launched(told, token, expires_at)
        except BaseException as exc:
            try:
                if isinstance(exc, Ambiguous) or not isinstance(exc, ImmutableError):
                    # there may be one, which is not found by its tags yet
                    host.current().sleep(self.config.staleness, Never())
            finally:
                remains.destroy(token)
            raise
        return AwsBuilder(
            aws=self.aws,
            depot=self.depot,
            said=f"{place}{_SAID}",
            place=place,
            instance=instance,
            name=self.name,
            tags=(*self.tags, *tags_of(token, expires_at)),
            on_alive=self.on_alive,
            staleness=self.config.staleness,
        )

    def sweep(self, *, now: datetime) -> tuple[str, ...]:
        """Destroy what has expired: instances, disks, objects, images that failed."""
        return Remains(aws=self.aws, depot=self.depot).sweep(now)

    def _handed(self, bake: Bake, place: str) -> Signed:
        """Upload the work, and sign what the builder is going to send."""
        seconds = int(bake.longest.total_seconds())
        signing = attrs.evolve(self.depot, aws=self.signing)
        with tempfile.NamedTemporaryFile() as file:
            with Path(file.name).open("wb") as stream:
                write_bundle(bake, stream)
            sha256 = digest_of_file(Path(file.name))
            self.depot.put(f"{place}{_BUNDLE}", Path(file.name))
        return Signed(
            get=signing.to_fetch(f"{place}{_BUNDLE}", seconds=seconds),
            sha256=sha256,
            post=signing.to_send(f"{place}{_SAID}", seconds=seconds),
            said=f"{place}{_SAID}",
        )

    def _launched(self, told: bytes, token: Token, expires_at: datetime) -> str:
        """Return the id of the instance; however often it is asked for, it is one."""
        request = self._request(told, token, expires_at)
        answer = retrying(
            lambda: self.aws.change(
                "ec2.RunInstances",
                self.name,
                lambda: self.aws.changes.ec2.run_instances(**request),
            ),
            host=host.current(),
            also=(Ambiguous,),
        )
        return answer["Instances"][0]["InstanceId"]

    def _request(
        self, told: bytes, token: Token, expires_at: datetime
    ) -> "RunInstancesRequestTypeDef":
        named = {"Name": f"immutable-bake-{token[:8]}"}
        tags = to_tags(dict(tags_of(token, expires_at)) | named)
        config = self.config
        request: RunInstancesRequestTypeDef = {
            "ImageId": self.parent.id,
            "MinCount": 1,
            "MaxCount": 1,
            "InstanceType": config.instance_types[0],  # type: ignore[typeddict-item]  # AWS knows more types than its stubs
            "ClientToken": token,
            # what an SDK sends as text it encodes; compressed bytes are none
            "UserData": told,  # type: ignore[typeddict-item]  # bytes are encoded, too
            "InstanceInitiatedShutdownBehavior": "stop",
            "MetadataOptions": {
                "HttpEndpoint": "enabled",
                "HttpTokens": "required",
                "HttpPutResponseHopLimit": 1,
            },
            # or a disk would outlive the builder, and one of each instance of the image
            "BlockDeviceMappings": [
                {
                    "DeviceName": name,
                    "Ebs": {"SnapshotId": snapshot, "DeleteOnTermination": True},
                }
                for name, snapshot in self.parent.disks
            ],
            "TagSpecifications": [
                {"ResourceType": "instance", "Tags": tags},
                {"ResourceType": "volume", "Tags": tags},
                {"ResourceType": "network-interface", "Tags": tags},
            ],
        }
        if config.subnets:
            request["SubnetId"] = config.subnets[0]
        if config.security_groups:
            request["SecurityGroupIds"] = list(config.security_groups)
        return request
