"""What a deployer asks a fleet to be, as the tests of fleets have it."""

from datetime import datetime, timedelta

from emulators.aws.account import Account
from immutable.host import Stop, ThisHost
from immutable.model import (
    DeploymentId,
    Digest,
    FleetName,
    FleetSpec,
    Image,
    ImageId,
    LedgerId,
    ReleaseNumber,
    ServiceName,
    Tags,
    Token,
    digest_of,
)

SERVICE, LEDGER = ServiceName("shop"), LedgerId("6f3c")
NAME = FleetName("shop-v1-3f9a1c")
OLD, NEW = FleetName("shop-v1-aaaaaa"), FleetName("shop-v2-bbbbbb")
TOKEN = Token("0123456789abcdef" * 2)


def spec_of(
    account: Account,
    *,
    name: FleetName = NAME,
    size: int = 2,
    document: str = '{"a":1}',
    place: str | None = None,
    number: int = 1,
) -> FleetSpec:
    """Return what a deployer would ask for, with a place at the switch."""
    digest = Digest(digest_of("release", number))
    return FleetSpec(
        name=name,
        image=Image(id=ImageId(account.plain_image), digest=digest, backend="aws"),
        document=document,
        size=size,
        port=8080,
        place=place or account.place(name, priority=100 + number),
        tags=Tags(
            service=SERVICE,
            ledger=LEDGER,
            deployment=DeploymentId(f"d{number}"),
            release=ReleaseNumber(number),
            digest=digest,
        ),
    )


class Quickened(ThisHost):
    """A machine whose clock runs thirty times as fast: a minute is two seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._began = super().now()

    def now(self) -> datetime:
        """Return the time on the quick clock."""
        return self._began + 30 * (super().now() - self._began)

    def sleep(self, pause: timedelta, stop: Stop) -> None:
        """Sleep by the quick clock."""
        super().sleep(pause / 30, stop)
