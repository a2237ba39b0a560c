"""What an ``aws://`` URL says, or a config given in code: typed, checked, without I/O.

    aws://eu-west-1?load_balancer=shop&subnets=subnet-1,subnet-2&instance_types=t3.small

Credentials are never in it: they come from the SDK's own chain.
"""

import math
import re
from datetime import timedelta
from typing import Self

import attrs

from immutable.durations import duration
from immutable.errors import InvalidInput
from immutable.urls import Url
from immutable_aws.session import Place

# such as eu-west-1, us-gov-west-1 and eusc-de-east-1
_REGION = re.compile(r"[a-z]{2,4}(-[a-z]+)+-\d")
_ACCOUNT = re.compile(r"\d{12}")
_SUBNET = re.compile(r"subnet-[0-9a-f]+")
_SECURITY_GROUP = re.compile(r"sg-[0-9a-f]+")
_OWNER = re.compile(r"\d{12}|amazon|aws-marketplace")
_LISTENER = re.compile(r"arn:[\w-]+:elasticloadbalancing:[\w-]+:\d{12}:listener/\S+")
_PLACE_OPTIONS = ("profile", "account")
_OPTIONS = (
    *_PLACE_OPTIONS,
    "bucket",
    "drain",
    "grace",
    "image_owners",
    "instance_profile",
    "instance_types",
    "listener",
    "load_balancer",
    "pace",
    "security_groups",
    "spot",
    "staleness",
    "subnets",
)
_DRAIN = timedelta(seconds=30)
_GRACE = timedelta(minutes=5)
"""What the console gives."""
_PACE = timedelta(seconds=5)
"""As often as load balancers probe: more looks see nothing more."""
_STALENESS = timedelta(seconds=5)


@attrs.frozen(kw_only=True)
class Spot:
    """How much of a fleet is bought on demand; the rest is spot capacity.

    ``strategy`` is Auto Scaling's ``SpotAllocationStrategy``.
    """

    on_demand_base: int = 0
    on_demand_percent: int = 0
    strategy: str = "price-capacity-optimized"

    def most(self, instances: int) -> tuple[int, int]:
        """Return how many of so many are bought on demand and as spot, at most.

        Where the percentage leaves a fraction of an instance, both count it: the API does
        not say which of the two it is.
        """
        above = max(0, instances - self.on_demand_base)
        bought = above * self.on_demand_percent / 100
        return instances - above + math.ceil(bought), math.ceil(above - bought)


@attrs.frozen(kw_only=True)
class AwsConfig:
    """Where fleets are launched, and on what.

    Args:
        region: such as ``eu-west-1``.
        profile: of the shared configuration; None: the SDK's own choice.
        account: twelve digits; calls are refused in any other account.
        load_balancer: the name of the Application Load Balancer; None: the service's name.
        listener: the ARN of its listener; None: the one at the service's port.
        subnets: where instances are put, spread evenly over their zones; none: those of
            the load balancer.
        security_groups: of the instances; none: the VPC's default one.
        instance_types: the first that can be had is taken.
        spot: None: on demand only.
        instance_profile: the role of the instances, by name or ARN.
        image_owners: accounts whose images may be launched, beside one's own: twelve
            digits, or ``amazon``, ``aws-marketplace``.
        bucket: of S3, through which layers are handed to builders of images.
        drain: how long requests in flight at the shift may still take.
        grace: how long an instance that replaces another may take until the load balancer
            finds it healthy; after it, Auto Scaling replaces it in turn.
        pace: how long to wait at least between two looks at a fleet on its way.
        staleness: how old AWS's answers may be. AWS states no bound: 5 seconds are
            assumed.
    """

    region: str
    profile: str | None = None
    account: str | None = None
    load_balancer: str | None = None
    listener: str | None = None
    subnets: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()
    instance_types: tuple[str, ...] = ("t3.micro",)
    spot: Spot | None = None
    instance_profile: str | None = None
    image_owners: tuple[str, ...] = ()
    bucket: str | None = None
    drain: timedelta = attrs.field(default=_DRAIN, converter=duration)
    grace: timedelta = attrs.field(default=_GRACE, converter=duration)
    pace: timedelta = attrs.field(default=_PACE, converter=duration)
    staleness: timedelta = attrs.field(default=_STALENESS, converter=duration)

    def __attrs_post_init__(self) -> None:
        """Check what can be checked without asking anybody.

        Raises:
            InvalidInput: something cannot be an id of what it stands for.
        """
        for what, pattern, given in (
            ("subnet", _SUBNET, self.subnets),
            ("security group", _SECURITY_GROUP, self.security_groups),
            ("account", _OWNER, self.image_owners),
            ("listener", _LISTENER, (self.listener,) if self.listener else ()),
        ):
            _check_all(what, pattern, given)
        if not self.pace:
            raise InvalidInput("a pace of zero", hint='write it as "2s"')

    @property
    def place(self) -> Place:
        """Return whose credentials are used, and where."""
        return Place(region=self.region, profile=self.profile, account=self.account)

    @classmethod
    def parse(cls, url: Url) -> Self:
        """Read ``aws://region?option=…``; options of several values take commas.

        Raises:
            InvalidInput: it names no region, or says what nobody would read.
        """
        url.require_known(*_OPTIONS)
        place = place_of(url)
        options = dict(url.options)
        return cls(
            region=place.region,
            profile=place.profile,
            account=place.account,
            load_balancer=options.get("load_balancer"),
            listener=options.get("listener"),
            subnets=_several(options.get("subnets")),
            security_groups=_several(options.get("security_groups")),
            instance_types=_several(options.get("instance_types")) or ("t3.micro",),
            spot=_spot(options.get("spot")),
            instance_profile=options.get("instance_profile"),
            image_owners=_several(options.get("image_owners")),
            bucket=options.get("bucket"),
            drain=options.get("drain", _DRAIN),
            grace=options.get("grace", _GRACE),
            pace=options.get("pace", _PACE),
            staleness=options.get("staleness", _STALENESS),
        )


def place_of(url: Url) -> Place:
    """Return the place in a URL: its host is the region.

    Raises:
        InvalidInput: it is none, or the account is no account's number.
    """
    if not _REGION.fullmatch(url.host) or url.path not in {"", "/"}:
        raise InvalidInput(
            f"{url} names no region", hint=f"write {url.scheme}://eu-west-1"
        )
    account = url.option("account", "")
    if account and not _ACCOUNT.fullmatch(account):
        raise InvalidInput(f"{account!r} is no account", hint="give its twelve digits")
    profile = url.option("profile", "")
    return Place(region=url.host, profile=profile or None, account=account or None)


def _check_all(what: str, pattern: re.Pattern[str], given: tuple[str, ...]) -> None:
    for word in given:
        if not pattern.fullmatch(word):
            raise InvalidInput(
                f"{word!r} is no {what}", hint=f"one matches {pattern.pattern}"
            )


def _several(text: str | None) -> tuple[str, ...]:
    return tuple(word for word in (text or "").split(",") if word)


def _spot(text: str | None) -> Spot | None:
    """Read ``spot=20``: so many percent on demand, the rest spot."""
    if text is None:
        return None
    if not text.isdecimal() or int(text) > 100:  # noqa: PLR2004 - percent
        raise InvalidInput(
            f"spot={text!r} is no percentage",
            hint="say how many percent to buy on demand, 0 to 100",
        )
    return Spot(on_demand_percent=int(text))
