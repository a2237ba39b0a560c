"""What is checked before a deployment touches anything: who, whether we may, and room."""

from typing import TYPE_CHECKING

import attrs

from immutable.capabilities import Need
from immutable.errors import BackendError, InvalidInput
from immutable.model import Image, ServiceName
from immutable_aws.checking import identity, permissions, room
from immutable_aws.checking.permissions import Sample
from immutable_aws.config import AwsConfig
from immutable_aws.errors import NAME, said
from immutable_aws.images import AwsImages
from immutable_aws.policies import anywhere_of
from immutable_aws.rules.balancers import balancer_of, balancing_of
from immutable_aws.session import Aws

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import SubnetTypeDef

_NO_SUCH = frozenset({"LoadBalancerNotFound", "InvalidSubnetID.NotFound"})


@attrs.frozen(kw_only=True)
class Preflight:
    """The checks of one account and region. Readings only, eight to ten of them."""

    config: AwsConfig
    aws: Aws

    def check(self, need: Need) -> tuple[str, ...]:
        """Check that a need can be met; return warnings.

        Raises:
            PermissionDenied: we are nobody, somebody else, or may not.
            NotEnough: vCPUs, groups or addresses would not suffice.
            InvalidInput: instance types, subnets or load balancer are not there, or no
                instance type can boot the image.
        """
        expiry = identity.check_expiry(self.aws.place.profile)
        caller = identity.check_caller(self.aws)
        warnings = (
            *expiry,
            *permissions.simulate(self.aws, caller, anywhere_of("deploy")),
        )
        return (*warnings, *self._check_room(need)) if need.new_instances else warnings

    def _check_room(self, need: Need) -> tuple[str, ...]:
        config, aws = self.config, self.aws
        kinds = room.kinds(aws, config.instance_types)
        kind, remarks = kinds[0], self._remarks(need.image, kinds)
        room.check_groups(aws)
        self._check_vcpus(kind, need.new_instances)
        subnets = self._subnets(need.service)
        if not subnets:
            # only the switch knows its load balancer; fleets are put into its subnets
            said = "neither subnets nor a load balancer are named: not checked"
            return (*remarks, said)
        room.check_addresses(subnets, need.new_instances)
        if need.image is not None:
            self._try_launch(need.image.id, kind.name, subnets[0].get("SubnetId", ""))
        return remarks

    def _check_vcpus(self, kind: room.Kind, instances: int) -> None:
        spot = self.config.spot
        on_demand, bid = spot.most(instances) if spot else (instances, 0)
        room.check_vcpus(self.aws, kind, on_demand, spot=False)
        room.check_vcpus(self.aws, kind, bid, spot=True)

    def _remarks(
        self, image: Image | None, kinds: tuple[room.Kind, ...]
    ) -> tuple[str, ...]:
        if image is None:
            return ()
        return AwsImages(aws=self.aws, config=self.config).remarks(image.id, kinds)

    def _try_launch(self, image: str, instance_type: str, subnet: str) -> None:
        sample = Sample(
            image=image,
            instance_type=instance_type,
            subnet=subnet,
            security_groups=self.config.security_groups,
            instance_profile=self.config.instance_profile,
        )
        permissions.check_launch(self.aws, sample)

    def _subnets(self, service: ServiceName) -> list["SubnetTypeDef"]:
        """Return where instances will be put, as it is now; nothing where nobody says."""
        try:
            names = self.config.subnets or self._of_load_balancer(service)
            return self.aws.read(
                "ec2.DescribeSubnets",
                ", ".join(names),
                lambda: self.aws.reads.ec2.describe_subnets(SubnetIds=list(names)),
            )["Subnets"]
        except BackendError as exc:
            if said(exc) not in _NO_SUCH:
                raise
            config = self.config
            if not (config.subnets or config.load_balancer or config.listener):
                return []
            hint = "name what there is: ?load_balancer=… or ?subnets=…"
            raise InvalidInput(exc.message, hint=hint, backend=NAME) from exc

    def _of_load_balancer(self, service: ServiceName) -> tuple[str, ...]:
        listener = self.config.listener
        named = balancer_of(listener) if listener else self.config.load_balancer
        return balancing_of(self.aws).find(named or service).subnets
