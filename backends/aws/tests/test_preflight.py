"""What is refused before a deployment touches anything, on an emulated AWS."""

from datetime import UTC, datetime, timedelta

import attrs
import pytest

from immutable.capabilities import Need
from immutable.errors import (
    InvalidInput,
    NotEnough,
    PermissionDenied,
    UnknownImage,
)
from immutable.model import Digest, Image, ImageId, ServiceName
from immutable_aws.checking.identity import Caller
from immutable_aws.checking.permissions import remarks, simulate
from immutable_aws.config import AwsConfig, Spot
from immutable_aws.policies import policy
from immutable_aws.preflight import Preflight
from immutable_aws.session import aws_of

ACCOUNT = "123456789012"


@pytest.fixture
def config(account):
    """Return a config of the account, with instances of two vCPUs each."""
    return AwsConfig(region=account.region, instance_types=("t3.small",))


@pytest.fixture
def preflight():
    """Return what makes the checks of a config."""
    return lambda config: Preflight(config=config, aws=aws_of(config.place))


@pytest.fixture
def need(account):
    """Return what a deployment of three instances needs, of a load balancer's name."""
    image = Image(
        id=ImageId(account.plain_image), digest=Digest("0" * 64), backend="aws"
    )
    return Need(service=ServiceName("given"), new_instances=3, image=image)


def soon(**delta: int) -> str:
    """Return a time from now, as the SDK's own variable has it."""
    return (datetime.now(UTC) + timedelta(**delta)).isoformat()


def test_what_fits_is_let_through_by_readings_alone(account, config, preflight, need):
    """A dry run is a reading; nothing is made, and few calls are needed."""
    account.emulator.calls(clear=True)
    warnings = preflight(config).check(need)
    calls = account.emulator.calls()
    assert calls.total <= 11
    assert not [w for w in warnings if "docs/reference/aws-policies.md" in w]
    assert account.ec2.describe_instances()["Reservations"] == []


def test_another_account_is_refused(config, preflight, need):
    """The account that was asked for is the one that is changed, or none is."""
    other = attrs.evolve(config, account="210987654321")
    with pytest.raises(PermissionDenied, match=f"of account {ACCOUNT}, not of"):
        preflight(other).check(need)
    preflight(attrs.evolve(config, account=ACCOUNT)).check(need)


def test_no_credentials_name_the_chain(config, preflight, need, monkeypatch, tmp_path):
    """Whoever has none is told where they were looked for."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    with pytest.raises(PermissionDenied, match="environment, profile, web identity"):
        preflight(config).check(need)


def test_expired_credentials_are_told_as_such(
    account, config, preflight, need, monkeypatch
):
    """What AWS calls expired is no mystery of permissions."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXPIRED")
    account.emulator.configure(expired_keys="AKIAEXPIRED")
    with pytest.raises(PermissionDenied, match="get-caller-identity"):
        preflight(config).check(need)


def test_credentials_that_end_too_soon_are_refused(
    config, preflight, need, monkeypatch
):
    """With minutes left not even a rollback would be safe."""
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", soon(minutes=3))
    with pytest.raises(
        PermissionDenied, match="the credentials in the environment end"
    ):
        preflight(config).check(need)
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", soon(minutes=30))
    assert any("needs recover()" in line for line in preflight(config).check(need))


def test_credentials_that_have_ended_are_told_as_such(
    config, preflight, need, monkeypatch
):
    """Of which the SDK says no more than that it could not renew them."""
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", soon(minutes=-3))
    with pytest.raises(PermissionDenied, match="in the environment end"):
        preflight(config).check(need)


@pytest.fixture
def profile(monkeypatch, tmp_path):
    """Return the name of a profile with keys of its own."""
    kept = tmp_path / "credentials"
    kept.write_text("[ci]\naws_access_key_id = KEY\naws_secret_access_key = SECRET\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(kept))
    return "ci"


def test_the_end_of_credentials_that_are_not_used_is_nobodys_concern(
    config, preflight, need, profile, monkeypatch
):
    """Those of a profile are used where one is named, and where there is no other key."""
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", soon(minutes=-3))
    named = attrs.evolve(config, profile=profile)
    assert not any("end at" in line for line in preflight(named).check(need))
    monkeypatch.setenv("AWS_PROFILE", profile)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    assert not any("end at" in line for line in preflight(config).check(need))


def test_a_quota_that_is_too_small_is_refused(account, config, preflight, need):
    """The doubled fleet is counted in vCPUs, as AWS counts."""
    account.emulator.configure(vcpus=5)
    with pytest.raises(NotEnough, match="need 6 vCPUs, and 5 of 5 are free"):
        preflight(config).check(need)
    preflight(config).check(attrs.evolve(need, new_instances=2))


def test_running_instances_count_against_the_quota(account, config, preflight, need):
    """What runs already leaves less."""
    account.ec2.run_instances(
        ImageId=account.plain_image, InstanceType="t3.small", MinCount=1, MaxCount=1
    )
    account.emulator.configure(vcpus=7)
    with pytest.raises(NotEnough, match="5 of 7 are free"):
        preflight(config).check(need)


def test_spot_instances_have_a_quota_of_their_own(account, config, preflight, need):
    """Each of the two markets must have room for its part of the fleet."""
    mixed = attrs.evolve(config, spot=Spot(on_demand_base=1))
    account.emulator.configure(vcpus=2, spot_vcpus=4)
    preflight(mixed).check(need)
    account.emulator.configure(spot_vcpus=3)
    with pytest.raises(NotEnough, match=r"2 more t3.small need 4 vCPUs, and 3 of 3"):
        preflight(mixed).check(need)
    account.emulator.configure(vcpus=1, spot_vcpus=4)
    with pytest.raises(NotEnough, match=r"1 more t3.small need 2 vCPUs, and 1 of 1"):
        preflight(mixed).check(need)


def test_accelerators_do_not_count_as_standard(account, config, preflight, need):
    """Types that begin with the letter of a standard family may have another quota."""
    account.ec2.run_instances(
        ImageId=account.plain_image, InstanceType="trn1.2xlarge", MinCount=1, MaxCount=1
    )
    account.emulator.configure(vcpus=14)
    preflight(config).check(need)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"instance_types": ("t3.smal",)}, "no instance type t3.smal"),
        ({"load_balancer": "nowhere"}, "nowhere"),
        ({"subnets": ("subnet-0123456789abcdef0",)}, "subnet-0123456789abcdef0"),
    ],
)
def test_what_is_not_there_is_named(config, preflight, need, change, said):
    """A word that was mistyped is in the message, with what to do."""
    with pytest.raises(InvalidInput, match=said) as caught:
        preflight(attrs.evolve(config, **change)).check(need)
    assert caught.value.hint


def test_a_load_balancer_that_only_the_switch_knows_is_no_fault(
    config, preflight, need
):
    """What cannot be checked beforehand is said, and left to the launch."""
    elsewhere = attrs.evolve(need, service=ServiceName("other"))
    warnings = preflight(config).check(elsewhere)
    assert any("not checked" in line for line in warnings)


def test_subnets_without_addresses_are_refused(account, config, preflight, need):
    """A subnet of eleven addresses holds no more."""
    block = account.emulator.network.replace(".0.0/16", ".240.0/28")
    small = account.ec2.create_subnet(VpcId=account.vpc, CidrBlock=block)
    narrow = attrs.evolve(config, subnets=(small["Subnet"]["SubnetId"],))
    preflight(narrow).check(need)
    with pytest.raises(NotEnough, match="11 addresses are free, and 12 are needed"):
        preflight(narrow).check(attrs.evolve(need, new_instances=12))


def test_an_image_that_is_gone_is_refused(config, preflight, need):
    """It was there when it was found, and is not any more."""
    gone = attrs.evolve(need.image, id=ImageId("ami-00000000000000000"))
    with pytest.raises(UnknownImage, match="ami-00000000000000000"):
        preflight(config).check(attrs.evolve(need, image=gone))


def test_an_image_that_no_instance_type_can_boot_is_refused(
    account, config, preflight, need
):
    """A group would launch, and lose, one instance after another."""
    made = account.ec2.register_image(
        Name="arm", RootDeviceName="/dev/xvda", Architecture="arm64"
    )
    image = attrs.evolve(need.image, id=ImageId(made["ImageId"]))
    with pytest.raises(
        InvalidInput, match=r"is for arm64, which t3\.small cannot boot"
    ):
        preflight(config).check(attrs.evolve(need, image=image))


def test_an_image_that_is_deprecated_is_warned_of(account, config, preflight, need):
    """It is launched all the same: to what is running it makes no difference."""
    account.ec2.enable_image_deprecation(
        ImageId=need.image.id, DeprecateAt="2030-05-01T12:00:00Z"
    )
    warnings = preflight(config).check(need)
    assert [w for w in warnings if "will be deprecated at 2030-05-01" in w]


def test_a_launch_that_would_be_refused_is_refused_before(
    account, config, preflight, need
):
    """EC2's dry run says so, of which the simulation that only warns knows nothing."""
    account.emulator.configure(denied="ec2:RunInstances")
    with pytest.raises(PermissionDenied, match=need.image.id):
        preflight(config).check(need)


@pytest.fixture
def user(config, monkeypatch):
    """Return what gives the caller a policy, and nothing beside it."""
    iam = aws_of(config.place).changes.iam
    iam.create_user(UserName="jo")
    key = iam.create_access_key(UserName="jo")["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    return lambda text: iam.put_user_policy(
        UserName="jo", PolicyName="immutable", PolicyDocument=text
    )


def of_policies(warnings):
    """Return what is warned of somebody's policies."""
    return [line for line in warnings if "docs/reference/aws-policies.md" in line]


def test_our_own_policy_is_warned_of_by_nobody(account, config, preflight, need, user):
    """Also not for what it allows on named resources alone: that is not asked."""
    user(policy("deploy", region=account.region, account=ACCOUNT, bucket="b"))
    assert of_policies(preflight(config).check(need)) == []


def test_what_a_policy_lacks_is_warned_of(account, config, preflight, need, user):
    """In one line, with the names of some; the deployment may try."""
    user(policy("recover", region=account.region, account=ACCOUNT))
    (line,) = of_policies(preflight(config).check(need))
    assert "user/jo seems not to be allowed autoscaling:CreateAutoScalingGroup" in line
    assert "ec2:RunInstances" in line
    user(policy("read", region=account.region, account=ACCOUNT))
    (line,) = of_policies(preflight(config).check(need))
    assert " more: see" in line
    assert len(line) < 400


def test_what_a_policy_denies_is_warned_of(account, config, preflight, need):
    """A simulation is no more than a guess: it refuses nobody."""
    account.emulator.configure(denied="elasticloadbalancing:CreateRule")
    (line,) = of_policies(preflight(config).check(need))
    assert "a policy denies" in line
    assert "elasticloadbalancing:CreateRule" in line


@pytest.mark.parametrize(
    "unsure",
    [
        {"MissingContextValues": ["aws:MultiFactorAuthPresent"]},
        {"OrganizationsDecisionDetail": {"AllowedByOrganizations": False}},
    ],
)
@pytest.mark.parametrize("decision", ["explicitDeny", "implicitDeny"])
def test_what_iam_cannot_know_is_no_denial(unsure, decision):
    """Twenty of them are one line."""
    results = [
        {"EvalActionName": f"ec2:Do{n:02}", "EvalDecision": decision, **unsure}
        for n in range(20)
    ]
    (line,) = remarks("jo", results)
    assert line.startswith("IAM cannot tell beforehand whether jo may ec2:Do00, ")
    assert "ec2:Do04 and 15 more" in line


def test_who_cannot_be_simulated_is_told_so(account, config, preflight, need):
    """Whatever IAM answers: a right, a path or a second factor may be missing."""
    account.emulator.configure(denied="iam:SimulatePrincipalPolicy")
    (line,) = of_policies(preflight(config).check(need))
    assert "IAM could not be asked" in line
    assert "(AccessDenied)" in line


def test_a_role_with_a_path_cannot_be_simulated(config, user):
    """Its sessions are named without the path, and IAM knows no role by that name."""
    user(policy("deploy", region=config.region, account=ACCOUNT))
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/ci"
    caller = Caller(account=ACCOUNT, arn=session)
    (line,) = simulate(aws_of(config.place), caller, ("ec2:RunInstances",))
    assert "(NoSuchEntity)" in line
    assert "assumed-role/deployer/ci" in line


@pytest.mark.parametrize(
    ("arn", "principal"),
    [
        (
            f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/ci",
            f"arn:aws:iam::{ACCOUNT}:role/deployer",
        ),
        (f"arn:aws:iam::{ACCOUNT}:user/jo", f"arn:aws:iam::{ACCOUNT}:user/jo"),
        (
            f"arn:aws-cn:sts::{ACCOUNT}:assumed-role/deployer/ci",
            f"arn:aws-cn:iam::{ACCOUNT}:role/deployer",
        ),
        (f"arn:aws:iam::{ACCOUNT}:root", None),
    ],
)
def test_a_session_is_judged_by_its_role(arn, principal):
    """IAM simulates users and roles, not sessions."""
    assert Caller(account=ACCOUNT, arn=arn).principal == principal
