"""The policies: every call of the package is in them, and nothing else is."""

import fnmatch
import json
import re
from pathlib import Path

import botocore.session
import pytest

import immutable_aws
from immutable_aws.checking.permissions import SIMULATED
from immutable_aws.grants import GRANTS, action_of
from immutable_aws.partitions import partition_of
from immutable_aws.policies import actions_of, anywhere_of, policy

ACCOUNT = "123456789012"
SOURCES = Path(immutable_aws.__file__).parent
CALL = re.compile(
    r'"((?:autoscaling|cloudwatch|ec2|elbv2|iam|logs|s3|service-quotas|sts)\.[A-Z]\w+)"'
)
DOC = Path(__file__).parents[3] / "docs/reference/aws-policies.md"
ROLES = ("read", "recover", "deploy", "build")
LISTENER = (
    f"arn:aws:elasticloadbalancing:eu-west-1:{ACCOUNT}"
    ":listener/net/web/50dc6c495c0c9188/f2f7dc8efc522ab2"
)
KEY = f"arn:aws:kms:eu-west-1:{ACCOUNT}:key/1234abcd"
# Calls that make something with tags, and the action that they need, too: the service
# authorization reference's "dependent actions", and for logs and alarms botocore's models.
TAGGING = {
    "autoscaling.CreateAutoScalingGroup": "autoscaling:CreateOrUpdateTags",
    "cloudwatch.PutMetricAlarm": "cloudwatch:TagResource",
    "ec2.CopyImage": "ec2:CreateTags",
    "ec2.CreateImage": "ec2:CreateTags",
    "ec2.CreateLaunchTemplate": "ec2:CreateTags",
    "ec2.RunInstances": "ec2:CreateTags",
    "elbv2.CreateListener": "elasticloadbalancing:AddTags",
    "elbv2.CreateRule": "elasticloadbalancing:AddTags",
    "elbv2.CreateTargetGroup": "elasticloadbalancing:AddTags",
    "logs.CreateLogGroup": "logs:TagResource",
}
TAG_MEMBERS = {"TagSpecifications", "Tags", "tags"}
RETAGGING = {"autoscaling.CreateOrUpdateTags", "ec2.CreateTags", "ec2.DeleteTags"} | {
    "elbv2.AddTags"
}
GROUP = "autoScalingGroup:1:autoScalingGroupName"
# What the action is on, where that is not any name.
MADE = {
    "autoscaling.CreateAutoScalingGroup": f"arn:aws:autoscaling:eu-west-1:{ACCOUNT}"
    f":{GROUP}/shop-v3-0a1b2c",
    "cloudwatch.PutMetricAlarm": f"arn:aws:cloudwatch:eu-west-1:{ACCOUNT}"
    ":alarm:shop-v3-0a1b2c-busy",
    "elbv2.CreateListener": f"{LISTENER.rpartition('/')[0]}/0123456789abcdef",
    "elbv2.CreateTargetGroup": f"{LISTENER.partition(':listener')[0]}"
    ":targetgroup/shop-nobody/1",
    "logs.CreateLogGroup": f"arn:aws:logs:eu-west-1:{ACCOUNT}"
    ":log-group:/immutable/shop",
}
OURS = {"aws:RequestTag/immutable-ledger": "l"}


def statements(role, **given):
    """Return the statements of a role, of one account and region."""
    made = policy(role, region="eu-west-1", account=ACCOUNT, **given)
    return json.loads(made)["Statement"]


def allows(listed, action, resource="*", **context):
    """Return whether statements allow an action, as IAM evaluates these conditions.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
    """
    known = {"aws:RequestedRegion": "eu-west-1"} | context

    def holds(operator, key, wanted):
        found = known.get(key)
        if operator == "Null":
            return (found is None) == (wanted == "true")
        if operator == "ForAllValues:StringLike":
            return all(fnmatch.fnmatchcase(each, wanted) for each in found or ())
        assert operator == "StringEquals"
        return found in ([wanted] if isinstance(wanted, str) else wanted)

    return any(
        action in each["Action"]
        and any(fnmatch.fnmatchcase(resource, arn) for arn in each["Resource"])
        and all(
            holds(operator, key, wanted)
            for operator, rows in each.get("Condition", {}).items()
            for key, wanted in rows.items()
        )
        for each in listed
    )


def calls_in_sources() -> set[str]:
    """Return the calls that the package names where it makes them."""
    files = [f for f in SOURCES.rglob("*.py") if f.name != "grants.py"]
    return {call for file in files for call in CALL.findall(file.read_text())}


def test_the_policies_are_what_is_called():
    """No call is missing, and none is allowed that nobody makes."""
    granted = {call for grant in GRANTS for call in grant.calls}
    assert granted == calls_in_sources()


def test_recovery_may_not_create_and_readers_may_not_change():
    """Each role has what it needs, and no more."""
    read, recover, deploy = (
        set(actions_of(role)) for role in ("read", "recover", "deploy")
    )
    assert read < recover < deploy
    assert "autoscaling:CreateAutoScalingGroup" in deploy - recover
    verbs = {action.partition(":")[2] for action in read}
    assert all(
        verb.startswith(("Decrypt", "Describe", "Get", "List", "Simulate"))
        for verb in verbs
    )


def test_every_call_that_may_carry_tags_is_in_the_table():
    """The models of botocore say which do, so that a new call cannot be forgotten."""
    session = botocore.session.get_session()
    for call in {call for grant in GRANTS for call in grant.calls} - RETAGGING:
        service, _, operation = call.partition(".")
        model = session.get_service_model(service).operation_model(operation)
        members = model.input_shape.members if model.input_shape else {}
        assert bool(TAG_MEMBERS & set(members)) == (call in TAGGING), call


@pytest.mark.parametrize("role", ROLES)
def test_who_may_make_something_may_tag_it_as_it_is_made(role):
    """An action that a call needs beside its own is in the same role."""
    listed = statements(role, listeners=(LISTENER,))
    for call in {
        call for grant in GRANTS if role in grant.roles for call in grant.calls
    }:
        if call not in TAGGING:
            continue
        operation, action = call.partition(".")[2], TAGGING[call]
        creating = {f"{action.partition(':')[0]}:CreateAction": operation}
        made = MADE.get(call, "*")
        assert allows(listed, action, made, **OURS, **creating), call


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize(
    ("action", "resource"),
    [
        (
            "elasticloadbalancing:AddTags",
            "arn:aws:elasticloadbalancing:x:1:targetgroup/b/1",
        ),
        ("elasticloadbalancing:AddTags", f"{LISTENER}1"),
        ("ec2:CreateTags", "arn:aws:ec2:eu-west-1::image/ami-1"),
        ("ec2:CreateTags", f"arn:aws:ec2:eu-west-1:{ACCOUNT}:instance/i-1"),
        ("logs:TagResource", f"arn:aws:logs:eu-west-1:{ACCOUNT}:log-group:/theirs"),
        (
            "cloudwatch:TagResource",
            f"arn:aws:cloudwatch:eu-west-1:{ACCOUNT}:alarm:theirs",
        ),
        (
            "autoscaling:CreateOrUpdateTags",
            f"arn:aws:autoscaling:eu-west-1:{ACCOUNT}:{GROUP}/theirs",
        ),
    ],
)
def test_nobody_makes_somebody_elses_things_ours(role, action, resource):
    """What is there already cannot be given our tags, and then be deleted by them."""
    listed = statements(role, listeners=(LISTENER,))
    for key in ("immutable-ledger", "immutable-recipe", "immutable-bake"):
        request = {f"aws:RequestTag/{key}": "x", "aws:TagKeys": (key,)}
        assert not allows(listed, action, resource, **request)


def test_a_lease_is_the_one_tag_that_an_image_is_given_later():
    """Its keys are its own; no call may remove all tags at once."""
    listed, image = statements("build"), "arn:aws:ec2:eu-west-1::image/ami-1"
    lease = {"aws:TagKeys": ("immutable-lease:shop",)}
    for action in ("ec2:CreateTags", "ec2:DeleteTags"):
        assert allows(listed, action, image, **lease)
        assert not allows(listed, action, image)
        assert not allows(listed, action, image.replace("image", "volume"), **lease)


@pytest.mark.parametrize("role", ROLES)
def test_what_destroys_is_bound_to_our_tags(role):
    """A deployer cannot delete what is not ours, whatever its code does."""
    listed = statements(role, bucket="b", listeners=(LISTENER,))
    deletes = {
        action
        for statement in listed
        for action in statement["Action"]
        if re.search(r":(Delete|Deregister|Terminate)", action)
    }
    for action in deletes - {"ec2:DeleteTags", "s3:DeleteObject"}:
        assert not allows(listed, action, f"{LISTENER.rpartition('/')[0]}/1"), action


def test_builds_delete_objects_of_builds_alone():
    """A ledger in the same bucket keeps its records."""
    listed = statements("build", bucket="b")
    assert allows(listed, "s3:DeleteObject", "arn:aws:s3:::b/immutable-bake/1")
    assert not allows(listed, "s3:DeleteObject", "arn:aws:s3:::b/service/shop/1")


def test_an_image_of_ours_goes_with_its_snapshots():
    """What would be left of it costs."""
    listed = statements("build")
    for key in ("immutable-recipe", "immutable-source"):
        ours = {f"aws:ResourceTag/{key}": "x"}
        assert allows(listed, "ec2:DeregisterImage", **ours)
        assert allows(listed, "ec2:DeleteSnapshot", **ours)


def test_only_a_listener_that_is_named_is_pointed():
    """Without nlb:// nobody may change a listener."""
    assert "Listener" not in policy(
        "deploy", region="eu-west-1", account=ACCOUNT
    ).replace("DescribeListeners", "")
    listed = statements("recover", listeners=(LISTENER,))
    beside = f"{LISTENER.rpartition('/')[0]}/0123456789abcdef"
    fleets = {"aws:ResourceTag/immutable-fleet": "shop-v1-abc"}
    for action in ("AddTags", "ModifyListener"):
        assert allows(listed, f"elasticloadbalancing:{action}", LISTENER, **OURS)
        assert not allows(listed, f"elasticloadbalancing:{action}", beside, **OURS)
    assert allows(listed, "elasticloadbalancing:DeleteListener", beside, **fleets)
    assert not allows(listed, "elasticloadbalancing:DeleteListener", LISTENER)
    nobody = f"{LISTENER.partition(':listener')[0]}:targetgroup/shop-nobody/1"
    assert allows(listed, "elasticloadbalancing:CreateTargetGroup", nobody, **OURS)
    assert not allows(listed, "elasticloadbalancing:CreateTargetGroup", **OURS)
    balancer = beside.rpartition("/")[0].replace(":listener/", ":loadbalancer/")
    assert allows(listed, "elasticloadbalancing:CreateListener", balancer, **OURS)


def test_the_key_of_a_bucket_is_for_those_who_use_the_bucket():
    """Who reads decrypts; who writes asks for keys of data, too."""
    given = {"bucket": "b", "kms_key": KEY}
    assert allows(statements("read", **given), "kms:Decrypt", KEY)
    assert not allows(statements("read", **given), "kms:GenerateDataKey", KEY)
    for role in ("recover", "deploy", "build"):
        assert allows(statements(role, **given), "kms:GenerateDataKey", KEY)
    assert "kms:" not in policy("deploy", region="eu-west-1", account=ACCOUNT)


def test_what_is_asked_of_iam_is_what_it_can_answer():
    """An action on named resources alone would be answered with a denial."""
    asked = set(anywhere_of("deploy"))
    assert {action_of("elbv2.CreateRule"), "ec2:CreateTags"} <= asked
    assert not {a for a in asked if a.startswith("s3:") or a.endswith("yListener")}
    listed = statements("deploy")
    assert [a for a in asked if not allows(listed, a, **SIMULATED)] == []


def test_every_partition_has_arns_of_its_own():
    """As botocore knows the regions."""
    session = botocore.session.get_session()
    for partition in session.get_available_partitions():
        for region in session.get_available_regions("ec2", partition):
            assert partition_of(region) == partition
    text = policy(
        "deploy",
        region="cn-north-1",
        account=ACCOUNT,
        bucket="b",
        instance_roles=("shop",),
    )
    assert "arn:aws-cn:iam::" in text
    assert "ec2.amazonaws.com.cn" in text
    assert "arn:aws:" not in text


def test_roles_are_passed_to_instances_alone():
    """The right to pass a role names it, and to whom."""
    text = policy(
        "deploy", region="eu-west-1", account=ACCOUNT, instance_roles=("shop",)
    )
    statement = json.loads(text)["Statement"][-1]
    assert statement["Resource"] == [f"arn:aws:iam::{ACCOUNT}:role/shop"]
    assert statement["Condition"] == {
        "StringEquals": {"iam:PassedToService": ["ec2.amazonaws.com"]}
    }


def test_without_a_bucket_no_bucket_is_opened():
    """S3 is only for those who keep their ledger there."""
    without = policy("deploy", region="eu-west-1", account=ACCOUNT)
    assert "s3:" not in without
    within = policy("deploy", region="eu-west-1", account=ACCOUNT, bucket="b")
    assert "arn:aws:s3:::b/*" in within


@pytest.mark.parametrize("role", ROLES)
def test_a_policy_fits_into_one_of_iams(role):
    """A managed policy has 6,144 characters, of which white space is none.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
    """
    given = {"bucket": "my-ledger", "kms_key": KEY, "listeners": (LISTENER,)}
    made = policy(role, region="ap-southeast-2", account=ACCOUNT, **given)
    assert len("".join(made.split())) <= 6144


@pytest.mark.parametrize("role", ROLES)
def test_the_page_shows_the_policies_as_they_are(role):
    """What people copy is what the code needs."""
    shown = re.findall(r"```json\n(.*?)```", DOC.read_text(), re.DOTALL)
    made = policy(
        role,
        region="eu-west-1",
        account=ACCOUNT,
        bucket="my-ledger",
        listeners=(LISTENER,),
        instance_roles=("shop-instances",),
    )
    assert f"{made}\n" in shown
