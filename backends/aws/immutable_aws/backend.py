"""The backend: one account and region of AWS behind `immutable.protocols.Backend`."""

from datetime import timedelta
from functools import cached_property

import attrs

from immutable.capabilities import Capabilities, Need
from immutable.model import ServiceName
from immutable.protocols import PROTOCOL_VERSION
from immutable.urls import Url
from immutable_aws.config import AwsConfig
from immutable_aws.errors import NAME
from immutable_aws.fleet import AwsFleets
from immutable_aws.groups.instances import instances_of
from immutable_aws.images import AwsImages
from immutable_aws.logs import AwsLogs
from immutable_aws.preflight import Preflight
from immutable_aws.session import Aws, aws_of

# A signed request is refused when it is older than five minutes; clocks may differ by one:
# https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html
_LATE = timedelta(minutes=6)


@attrs.frozen(kw_only=True)
class AwsBackend:
    """Auto Scaling groups of one account and region. Opening it reaches nobody."""

    config: AwsConfig
    protocol_version: int = PROTOCOL_VERSION
    name: str = NAME

    @property
    def capabilities(self) -> Capabilities:
        """Return what this backend can do."""
        return Capabilities(
            builds_images=True,
            launch_binds=True,
            keeps_logs=True,
            reachable_elsewhere=True,
            # no rule can name a target group that is gone, and none goes that a rule names
            guards_deletion=True,
            staleness=self.config.staleness,
            late=_LATE,
            pace=self.config.pace,
            scales_itself=True,
        )

    @cached_property
    def images(self) -> AwsImages:
        """Return the image side."""
        return AwsImages(config=self.config, aws=self._aws)

    @cached_property
    def fleets(self) -> AwsFleets:
        """Return the fleet side."""
        return AwsFleets(self.config, self._aws)

    @cached_property
    def logs(self) -> AwsLogs:
        """Return the log side."""
        return AwsLogs(aws=self._aws, instances=instances_of(self._aws))

    def default_switch(self, service: ServiceName, *, port: int) -> Url:
        """Return the URL of the load balancer's listener; by default both are found.

        The load balancer has the service's name, and the listener the service's port,
        unless the config names others.
        """
        del service, port
        config = self.config
        told = {
            "account": config.account,
            "listener": config.listener,
            "load_balancer": config.load_balancer,
            "profile": config.profile,
        }
        options = {name: value for name, value in told.items() if value}
        seconds = f"{config.drain.total_seconds():g}s"
        stale = f"{config.staleness.total_seconds():g}s"
        return Url(
            scheme="alb",
            host=config.region,
            options=options | {"drain": seconds, "staleness": stale},
        )

    def preflight(self, need: Need) -> tuple[str, ...]:
        """Check credentials, permissions, quotas and addresses; return warnings.

        Raises:
            PermissionDenied, NotEnough, InvalidInput: as `Preflight.check`.
        """
        return Preflight(config=self.config, aws=self._aws).check(need)

    @property
    def _aws(self) -> Aws:
        return aws_of(self.config.place)


def open_backend(url: Url) -> AwsBackend:
    """Return the backend at ``aws://region?option=…``; no I/O.

    Raises:
        InvalidInput: the URL means nothing.
    """
    return AwsBackend(config=AwsConfig.parse(url))
