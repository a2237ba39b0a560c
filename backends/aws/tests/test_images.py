"""Images are found by exact id, of owners that were named, and otherwise refused."""

from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
import pytest

from immutable.errors import (
    BackendError,
    InvalidInput,
    PermissionDenied,
    Taken,
    Unavailable,
    UnknownImage,
)
from immutable.model import ImageId
from immutable_aws.config import AwsConfig
from immutable_aws.finding import find_images
from immutable_aws.images import AwsImages
from immutable_aws.session import Aws, Place, aws_of

REGION, ELSEWHERE = "eu-west-1", "eu-central-1"
AWS = Aws(Place(region=REGION))
"""For the tests with the emulated AWS, which is one: making clients takes long."""
STRANGER = "999988887777"
NOWHERE = ImageId("ami-0123456789abcdef0")


@pytest.fixture
def ec2(wire: Any) -> Any:
    """Return a client of the test's own, of an empty server."""
    del wire
    return boto3.client("ec2", region_name=REGION)


@pytest.fixture
def images(wire: Any) -> AwsImages:
    """Return the images of an empty account."""
    wire.clear()
    return images_of()


def images_of(**options: Any) -> AwsImages:
    """Return an account's images, with these options."""
    config = AwsConfig(region=REGION, **options)
    return AwsImages(aws=aws_of(Place(region=REGION)), config=config)


def registered(ec2: Any, name: str = "web-1") -> ImageId:
    """Return the id of a new image of this account."""
    made = ec2.register_image(
        Name=name, RootDeviceName="/dev/xvda", Architecture="x86_64"
    )
    return ImageId(made["ImageId"])


def known(image: ImageId) -> Any:
    """Return the server's own record of an image, to be changed."""
    from moto.ec2.models import ec2_backends

    return ec2_backends["123456789012"][REGION].amis[image]


def test_an_image_is_found_with_one_call(
    ec2: Any, images: AwsImages, wire: Any
) -> None:
    """One call finds it, and tells the same digest each time."""
    image = registered(ec2)
    wire.clear()
    found = images.find(image)
    assert found is not None
    assert wire.operations == ["DescribeImages"]
    assert (found.id, found.backend) == (image, "aws")
    assert images.find(image) == found


def test_tags_do_not_change_the_digest(ec2: Any, images: AwsImages) -> None:
    """Whoever may write tags cannot make an image count as another one."""
    image = registered(ec2)
    before = images.find(image)
    ec2.create_tags(Resources=[image], Tags=[{"Key": "immutable-digest", "Value": "x"}])
    after = images.find(image)
    assert before is not None
    assert after is not None
    assert after.digest == before.digest


def test_other_images_have_other_digests(ec2: Any, images: AwsImages) -> None:
    """Two images are told apart."""
    one, other = (images.find(registered(ec2, name)) for name in ("web-1", "web-2"))
    assert one is not None
    assert other is not None
    assert one.digest != other.digest


def test_what_is_not_there_is_not_found(images: AwsImages) -> None:
    """An unknown id finds nothing, and neither does what is nearly an id."""
    wanted = (NOWHERE, NOWHERE[:-1], f"{NOWHERE}0", NOWHERE.swapcase(), "latest", "")
    assert [images.find(ImageId(name)) for name in wanted] == [None] * 6


@pytest.mark.parametrize(
    "name",
    [
        "debian-12-amd64-*",
        "amazon/al2023-ami-2023.5.20240722.0-kernel-6.1-x86_64",
        "resolve:ssm:/aws/service/debian/release/12/latest/amd64",
        "web_server",
        "../../etc/passwd\0",
    ],
)
def test_names_are_refused_without_any_call(
    name: str, images: AwsImages, wire: Any
) -> None:
    """A name is nobody's id, and no call is made with it."""
    with pytest.raises(UnknownImage, match="names, patterns and parameters") as caught:
        images.find(ImageId(name))
    assert "find_images(owner=" in str(caught.value.hint)
    assert wire.operations == []


def test_a_stranger_is_refused_until_trusted(ec2: Any, images: AwsImages) -> None:
    """An image of an account that is not named is refused, and taken where it is named."""
    image = registered(ec2)
    known(image).owner_id = STRANGER
    with pytest.raises(InvalidInput, match=f"is of {STRANGER}") as caught:
        images.find(image)
    assert f"?image_owners={STRANGER}" in str(caught.value.hint)
    found = images_of(image_owners=(STRANGER,)).find(image)
    assert found is not None
    assert found.id == image


def test_an_owner_may_be_one_of_awss_own_names(ec2: Any, images: AwsImages) -> None:
    """Amazon is an owner by name."""
    image = registered(ec2)
    known(image).owner_id, known(image).owner_alias = "801119661308", "amazon"
    with pytest.raises(InvalidInput, match="amazon"):
        images.find(image)
    assert images_of(image_owners=("amazon",)).find(image) is not None


@pytest.mark.parametrize(
    ("state", "error", "said"),
    [
        ("pending", Unavailable, "is pending"),
        ("disabled", BackendError, "is disabled"),
        ("failed", BackendError, "is failed"),
    ],
)
def test_only_available_images_are_found(
    state: str, error: type[Exception], said: str, ec2: Any, images: AwsImages
) -> None:
    """An image in another state is refused, saying in which."""
    image = registered(ec2)
    known(image).state = state
    with pytest.raises(error, match=said):
        images.find(image)


def test_what_is_deregistered_is_gone(ec2: Any, images: AwsImages) -> None:
    """For a while EC2 still shows what was deregistered: it counts as gone."""
    image = registered(ec2)
    known(image).state = "deregistered"
    assert images.find(image) is None


def snapshots(ec2: Any) -> list[str]:
    """Return the account's own snapshots."""
    found = ec2.describe_snapshots(OwnerIds=["self"])["Snapshots"]
    return [each["SnapshotId"] for each in found]


@pytest.fixture
def account(emulator: Any, hurried: None) -> Any:
    """Return a client of EC2, of an emulated account."""
    del hurried
    emulator.configure(image_s=0)
    return AWS.changes.ec2


@pytest.fixture
def emulated(account: Any) -> AwsImages:
    """Return the images of the emulated account."""
    del account
    return AwsImages(aws=AWS, config=AwsConfig(region=REGION))


def test_an_image_is_deleted_with_its_snapshots(
    account: Any, emulated: AwsImages
) -> None:
    """Nothing is left of it, and deleting again is no error."""
    image = registered(account)
    assert len(snapshots(account)) == 1
    emulated.delete(image)
    emulated.delete(image)
    emulated.delete(ImageId("shop-none"))
    assert emulated.find(image) is None
    assert snapshots(account) == []


def test_snapshots_that_may_not_be_deleted_are_named(
    account: Any, emulated: AwsImages, emulator: Any
) -> None:
    """EC2 deregisters the image all the same, and says so only in its answer."""
    image = registered(account)
    (snapshot,) = snapshots(account)
    emulator.configure(denied="ec2:DeleteSnapshot")
    with pytest.raises(PermissionDenied, match=snapshot) as caught:
        emulated.delete(image)
    assert f"{image} is deregistered, and {snapshot} still costs" in caught.value.hint
    assert snapshots(account) == [snapshot]


@pytest.mark.parametrize("code", ["internal-error", "client-error"])
def test_snapshots_that_ec2_could_not_delete_are_deleted(
    code: str, account: Any, emulated: AwsImages, emulator: Any
) -> None:
    """What was left for a moment's trouble is deleted by a call of its own."""
    emulator.configure(snapshot_code=code)
    emulated.delete(registered(account))
    assert snapshots(account) == []


def test_snapshots_that_are_needed_elsewhere_stay(
    account: Any, emulated: AwsImages, emulator: Any
) -> None:
    """EC2 keeps what another image is made of, and that is no error."""
    emulator.configure(snapshot_code="skipped")
    emulated.delete(registered(account))
    assert len(snapshots(account)) == 1
    assert emulator.calls().counts.get("ec2:DeleteSnapshot", 0) == 0


def test_snapshots_go_though_nobody_heard_of_them(
    account: Any, emulated: AwsImages, emulator: Any
) -> None:
    """An answer that is lost says nothing of them: what no other image needs is deleted."""
    image = registered(account)
    registered(account, "web-2")
    left = len(snapshots(account)) - 1
    emulator.configure(snapshot_code="internal-error")
    emulator.cut("ec2:DeregisterImage", when="after")
    emulated.delete(image)
    assert len(snapshots(account)) == left
    assert emulator.calls().counts["ec2:DeleteSnapshot"] == 1


def test_who_has_leased_an_image_keeps_it(account: Any, emulated: AwsImages) -> None:
    """It is not deleted until it is released, or the lease has ended."""
    image, now = registered(account), datetime.now(UTC)
    emulated.lease(image, holder="team/shop", until=now + timedelta(days=1))
    emulated.lease(image, holder="ended", until=now - timedelta(days=1))
    with pytest.raises(Taken, match="leased: team/shop until"):
        emulated.delete(image)
    emulated.release(image, holder="team/shop")
    emulated.release(image, holder="team/shop")
    emulated.delete(image)
    assert emulated.find(image) is None


def test_a_lease_is_renewed(account: Any, emulated: AwsImages) -> None:
    """The same holder has one lease, the last one."""
    image, now = registered(account), datetime.now(UTC)
    emulated.lease(image, holder="ci", until=now + timedelta(days=1))
    emulated.lease(image, holder="ci", until=now - timedelta(days=1))
    emulated.delete(image)
    assert emulated.find(image) is None


@pytest.mark.parametrize("holder", ["", "a b", "x" * 101, "*"])
def test_holders_have_names(holder: str, emulated: AwsImages) -> None:
    """A tag's key has to be able to name them."""
    with pytest.raises(InvalidInput, match="cannot hold a lease"):
        emulated.lease(NOWHERE, holder=holder, until=datetime.now(UTC))


def test_times_have_zones(emulated: AwsImages) -> None:
    """A time that means another one elsewhere is refused; so is one that is over."""
    naive = datetime.now()  # noqa: DTZ005 - what is refused
    with pytest.raises(InvalidInput, match="no time zone"):
        emulated.lease(NOWHERE, holder="ci", until=naive)
    for at in (naive, datetime.now(UTC) - timedelta(days=1)):
        with pytest.raises(InvalidInput, match="no time to come"):
            emulated.deprecate(NOWHERE, at=at)


def test_what_is_protected_stays(account: Any, emulated: AwsImages) -> None:
    """AWS keeps it, and we say so before we ask."""
    image = registered(account)
    emulated.protect(image)
    with pytest.raises(BackendError, match="is protected from deregistration"):
        emulated.delete(image)
    emulated.unprotect(image)
    emulated.delete(image)
    assert emulated.find(image) is None


def test_what_is_deprecated_is_launched_with_a_warning(
    account: Any, emulated: AwsImages
) -> None:
    """It is found all the same, and its remarks say from when on."""
    image = registered(account)
    assert emulated.remarks(image) == ()
    emulated.deprecate(image, at=datetime(2030, 5, 1, 12, tzinfo=UTC))
    assert emulated.find(image) is not None
    (remark,) = emulated.remarks(image)
    assert "will be deprecated at 2030-05-01 12:00Z" in remark


def test_an_image_of_another_architecture_is_refused(
    account: Any, emulated: AwsImages
) -> None:
    """Before anything is launched it is known that it could not boot."""
    made = account.register_image(
        Name="arm", RootDeviceName="/dev/xvda", Architecture="arm64"
    )
    with pytest.raises(InvalidInput, match="is for arm64, which t3"):
        emulated.remarks(ImageId(made["ImageId"]))


def test_accounts_are_let_in_and_out(account: Any, emulated: AwsImages) -> None:
    """Only accounts: no image is made public."""
    image = registered(account)

    def allowed() -> list[str]:
        answer = account.describe_image_attribute(
            ImageId=image, Attribute="launchPermission"
        )
        return sorted(each["UserId"] for each in answer["LaunchPermissions"])

    emulated.share(image, STRANGER, "111122223333")
    assert allowed() == ["111122223333", STRANGER]
    emulated.unshare(image, STRANGER)
    assert allowed() == ["111122223333"]
    with pytest.raises(InvalidInput, match="'all' is no account"):
        emulated.share(image, "all")


def test_an_image_is_copied_once(
    account: Any, emulated: AwsImages, emulator: Any
) -> None:
    """A copy has the name and says of what it is one; asked for again, it is the same."""
    image = registered(account)
    account.create_tags(
        Resources=[image],
        Tags=[
            {"Key": "immutable-recipe", "Value": "0" * 64},
            {"Key": "other", "Value": "x"},
        ],
    )
    made = emulated.copy(image, ELSEWHERE)
    assert made == emulated.copy(image, ELSEWHERE)
    there = aws_of(Place(region=ELSEWHERE)).reads.ec2
    (found,) = there.describe_images(Owners=["self"])["Images"]
    assert {tag["Key"]: tag["Value"] for tag in found["Tags"]} == {
        "immutable-recipe": "0" * 64,
        "immutable-source": f"{REGION}/{image}",
    }
    assert (found["Name"], made.recipe) == ("web-1", "0" * 64)
    assert emulator.calls().counts["ec2:CopyImage"] == 1


def test_a_copy_does_not_take_anothers_name(account: Any, emulated: AwsImages) -> None:
    """Where an image of the name is something else, nothing is copied."""
    image = registered(account)
    registered(aws_of(Place(region=ELSEWHERE)).changes.ec2)
    with pytest.raises(Taken, match="is no copy of"):
        emulated.copy(image, ELSEWHERE)


def test_what_is_not_there_is_not_copied(emulated: AwsImages) -> None:
    """There is nothing to copy, or to remark upon."""
    for call in (
        lambda: emulated.copy(NOWHERE, ELSEWHERE),
        lambda: emulated.remarks(NOWHERE),
    ):
        with pytest.raises(UnknownImage):
            call()


def test_people_find_ids_of_an_owner(ec2: Any) -> None:
    """By name or pattern, of one owner: strangers' images of the same name are not shown."""
    mine, theirs = registered(ec2, "debian-12-a"), registered(ec2, "debian-12-b")
    registered(ec2, "ubuntu")
    known(mine).architecture = known(theirs).architecture = "x86_64"
    known(theirs).owner_id = STRANGER
    (found,) = find_images(owner="self", name="debian-12-*", region=REGION)
    assert (found.id, found.name) == (mine, "debian-12-a")
    (other,) = find_images(owner=STRANGER, name="debian-12-*", region=REGION)
    assert (other.id, other.owner) == (theirs, STRANGER)


@pytest.mark.parametrize("owner", ["", "*", "all", "12345", "99998888777?", "Amazon"])
def test_an_owner_is_no_pattern(owner: str, wire: Any) -> None:
    """It would be anybody; nothing is asked."""
    with pytest.raises(InvalidInput, match="owns no images"):
        find_images(owner=owner, name="debian-*", region=REGION)
    assert wire.operations == []
