"""What tests stand on: an account that the SDK's own settings name, and servers in it."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from emulators import aws
from emulators.aws import Emulator
from emulators.aws.account import Account, Kind, settings
from immutable.model import InstanceId, Member
from immutable_aws import session

PORT = 8080
_OTHERS = ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "HTTP_PROXY")


def name_server(url: str, patch: pytest.MonkeyPatch) -> None:
    """Let the SDK's own settings name a server, and nothing else."""
    for name in _OTHERS:
        patch.delenv(name, raising=False)
    for name, value in settings(url).items():
        patch.setenv(name, value)


def prepared(
    emulator: Emulator, patch: pytest.MonkeyPatch, kind: Kind = "application"
) -> Account:
    """Return an account with a load balancer, which what is tested finds by itself."""
    name_server(emulator.url, patch)
    # what is emulated may be asked more often than AWS
    patch.setattr(session, "_READS_PER_SECOND", 1000.0)
    # clients take long to make, and keep nothing: those of one emulator are shared
    patch.delenv("AWS_EXECUTION_ENV", raising=False)
    return Account.make(emulator, kind)


@contextmanager
def quick_account() -> Iterator[Account]:
    """Yield an account of an emulated AWS of its own, whose machines boot in no time."""
    quick = aws.Settings(boot_s=0.05, halt_s=0.05)
    with aws.start(quick) as emulator, pytest.MonkeyPatch.context() as patch:
        name_server(emulator.url, patch)
        yield Account.make(emulator)
        assert emulator.bugs() == ()


def servers(account: Account, count: int, words: str = "") -> tuple[Member, ...]:
    """Launch instances, wait until they run, and return them as members."""
    ids = account.launch(account.image(words), count)
    account.until(lambda: all(account.state(each) == "running" for each in ids))
    found = account.ec2.describe_instances(InstanceIds=ids)["Reservations"]
    rows = [row for each in found for row in each["Instances"]]
    return tuple(
        Member(
            instance=InstanceId(row["InstanceId"]),
            address=row["PrivateIpAddress"],
            port=PORT,
        )
        for row in sorted(rows, key=lambda row: row["InstanceId"])
    )
