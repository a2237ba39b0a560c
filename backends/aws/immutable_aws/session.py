"""One account and region: clients, made on first use, that never repeat a change.

boto3 is imported here and nowhere else, when the first client is made. There are two of
each client: one for readings, which botocore repeats and which share a budget of calls, and
one for changes, which go out once. Repeating a change is for the engine, which knows what
became of it.
"""

import os
import threading
from collections.abc import Callable, Iterable
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

import attrs

from immutable.authoring import RateBudget
from immutable.errors import Unavailable
from immutable_aws.errors import doing

if TYPE_CHECKING:
    from boto3.session import Session
    from botocore.credentials import Credentials
    from mypy_boto3_autoscaling import AutoScalingClient
    from mypy_boto3_cloudwatch import CloudWatchClient
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_elbv2 import ElasticLoadBalancingv2Client
    from mypy_boto3_iam import IAMClient
    from mypy_boto3_logs import CloudWatchLogsClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_service_quotas import ServiceQuotasClient
    from mypy_boto3_sts import STSClient

Service = Literal[
    "autoscaling",
    "cloudwatch",
    "ec2",
    "elbv2",
    "iam",
    "logs",
    "s3",
    "service-quotas",
    "sts",
]
_READ_ATTEMPTS = 4
_CONNECT_S = 5
_READ_S = 30
# EC2's buckets of describing calls refill at 20 a second, the others at 10 and more:
# https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html
_READS_PER_SECOND = 10.0
_READS_AT_ONCE = 50
# S3 takes 5,500 readings a second of each prefix:
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html
_UNMETERED = frozenset({"s3"})
_T = TypeVar("_T")


@attrs.frozen(kw_only=True)
class Place:
    """Whose credentials, where, and in which account they must be."""

    region: str
    profile: str | None = None
    account: str | None = None


class Clients:
    """The services of one place; each client is made when it is first asked for."""

    def __init__(self, make: Callable[[Service], object]) -> None:
        self._make = make
        self._made: dict[Service, object] = {}
        self._lock = threading.Lock()

    @property
    def autoscaling(self) -> "AutoScalingClient":
        """Return Auto Scaling."""
        return cast("AutoScalingClient", self._client("autoscaling"))

    @property
    def cloudwatch(self) -> "CloudWatchClient":
        """Return CloudWatch metrics."""
        return cast("CloudWatchClient", self._client("cloudwatch"))

    @property
    def ec2(self) -> "EC2Client":
        """Return EC2."""
        return cast("EC2Client", self._client("ec2"))

    @property
    def elbv2(self) -> "ElasticLoadBalancingv2Client":
        """Return Elastic Load Balancing, application and network."""
        return cast("ElasticLoadBalancingv2Client", self._client("elbv2"))

    @property
    def iam(self) -> "IAMClient":
        """Return IAM."""
        return cast("IAMClient", self._client("iam"))

    @property
    def logs(self) -> "CloudWatchLogsClient":
        """Return CloudWatch Logs."""
        return cast("CloudWatchLogsClient", self._client("logs"))

    @property
    def s3(self) -> "S3Client":
        """Return S3."""
        return cast("S3Client", self._client("s3"))

    @property
    def quotas(self) -> "ServiceQuotasClient":
        """Return Service Quotas."""
        return cast("ServiceQuotasClient", self._client("service-quotas"))

    @property
    def sts(self) -> "STSClient":
        """Return the Security Token Service."""
        return cast("STSClient", self._client("sts"))

    def _client(self, service: Service) -> object:
        with self._lock:
            if service not in self._made:
                self._made[service] = self._make(service)
            return self._made[service]


class Aws:
    """Calls on one place: ``reads`` may be repeated by botocore, ``changes`` never are.

    ``signing`` makes calls to S3 that others will send: they are signed for the region's own
    address, because the global one redirects, and what is redirected is no longer as signed.
    """

    def __init__(self, place: Place) -> None:
        self.place = place
        self.reads = Clients(self._reading)
        self.changes = Clients(self._changing)
        self.signing = Clients(self._signing)
        self._budget = RateBudget(per_second=_READS_PER_SECOND, burst=_READS_AT_ONCE)
        self._lock = threading.Lock()
        self._session: Session | None = None

    def read(self, operation: str, resource: str, call: Callable[[], _T]) -> _T:
        """Return what a reading call returns.

        Args:
            operation: as AWS names it, for example ``"ec2.DescribeImages"``.
            resource: what it is about, for messages.
            call: makes the call, or a page after the other, on `reads`.

        Raises:
            ImmutableError: what it failed with, as `immutable_aws.errors` classifies it.
        """
        try:
            with doing(operation=operation, resource=resource, changes=False):
                return call()
        except Unavailable as exc:
            # whatever became of it, a reading had no effect
            exc.retryable = True
            raise

    def change(self, operation: str, resource: str, call: Callable[[], _T]) -> _T:
        """Return what a changing call returns, made once, on `changes`.

        Raises:
            ImmutableError: `Ambiguous` where it may have had an effect.
        """
        with doing(operation=operation, resource=resource, changes=True):
            return call()

    def credentials(self) -> "Credentials | None":
        """Return what calls are signed with, fetched by now; None: there are none."""
        named = {"operation": "credentials", "resource": self.place.region}
        with self._lock, doing(**named, changes=False):
            found = self._session_now().get_credentials()
            if found is not None:
                found.get_frozen_credentials()
            return found

    def _reading(self, service: Service) -> object:
        client = self._make(service, attempts=_READ_ATTEMPTS)
        if service not in _UNMETERED:
            client.meta.events.register("before-send", self._take_turn)
        return client

    def _changing(self, service: Service) -> object:
        return self._make(service, attempts=1)

    def _signing(self, service: Service) -> object:
        return self._make(
            service,
            attempts=1,
            signature_version="s3v4",
            s3={"addressing_style": "virtual"},
        )

    def _take_turn(self, **_: object) -> None:
        self._budget.take()

    def _make(
        self,
        service: Service,
        *,
        attempts: int,
        signature_version: str | None = None,
        s3: dict[str, str] | None = None,
    ) -> Any:  # noqa: ANN401 - as untyped as boto3's own
        from botocore.config import Config

        config = Config(
            retries={"mode": "standard", "total_max_attempts": attempts},
            connect_timeout=_CONNECT_S,
            read_timeout=_READ_S,
            user_agent_extra="immutable-deploy",
            signature_version=signature_version,
            s3=cast("Any", s3),
        )
        named = {"operation": f"{service}.client", "resource": self.place.region}
        # making clients of one session is not safe from several threads
        with self._lock, doing(**named, changes=False):
            return self._session_now().client(
                cast("Any", service), region_name=self.place.region, config=config
            )

    def _session_now(self) -> "Session":
        import boto3

        if self._session is None:
            self._session = boto3.Session(
                profile_name=self.place.profile, region_name=self.place.region
            )
        return self._session


def aws_of(place: Place) -> Aws:
    """Return the clients of a place, shared by all that speak to it in this process."""
    settings = tuple(sorted(i for i in os.environ.items() if i[0].startswith("AWS_")))
    return _shared(place, settings, os.getpid())


@cache
def _shared(place: Place, settings: Iterable[tuple[str, str]], pid: int) -> Aws:
    del settings, pid
    return Aws(place)
