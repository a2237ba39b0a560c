"""The policies: every call of the package is in them, and nothing else is."""

import json
import re
from pathlib import Path

import pytest

import immutable_aws
from immutable_aws.policies import GRANTS, actions_of, policy

ACCOUNT = "123456789012"
SOURCES = Path(immutable_aws.__file__).parent
CALL = re.compile(
    r'"((?:autoscaling|cloudwatch|ec2|elbv2|iam|logs|s3|service-quotas|sts)\.[A-Z]\w+)"'
)
DOC = Path(__file__).parents[3] / "docs/reference/aws-policies.md"


def calls_in_sources() -> set[str]:
    """Return the calls that the package names where it makes them."""
    files = [f for f in SOURCES.rglob("*.py") if f.name != "policies.py"]
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
        verb.startswith(("Describe", "Get", "List", "Simulate")) for verb in verbs
    )


def test_what_destroys_is_bound_to_our_tags():
    """A deployer cannot delete what is not ours, whatever its code does."""
    document = json.loads(policy("deploy", region="eu-west-1", account=ACCOUNT))
    for statement in document["Statement"]:
        deletes = [
            action
            for action in statement["Action"]
            if re.search(r":(Delete|Terminate)", action) and "Listener" not in action
        ]
        if deletes:
            assert "aws:ResourceTag/immutable-ledger" in str(statement["Condition"])


def test_roles_are_passed_to_instances_alone():
    """The right to pass a role names it, and to whom."""
    text = policy(
        "deploy", region="eu-west-1", account=ACCOUNT, instance_roles=("shop",)
    )
    statement = json.loads(text)["Statement"][-1]
    assert statement["Resource"] == [f"arn:aws:iam::{ACCOUNT}:role/shop"]
    assert statement["Condition"] == {
        "StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}
    }


def test_without_a_bucket_no_bucket_is_opened():
    """S3 is only for those who keep their ledger there."""
    without = policy("deploy", region="eu-west-1", account=ACCOUNT)
    assert "s3:" not in without
    within = policy("deploy", region="eu-west-1", account=ACCOUNT, bucket="b")
    assert "arn:aws:s3:::b/*" in within


@pytest.mark.parametrize("role", ["read", "recover", "deploy", "build"])
def test_the_page_shows_the_policies_as_they_are(role):
    """What people copy is what the code needs."""
    shown = re.findall(r"```json\n(.*?)```", DOC.read_text(), re.DOTALL)
    made = policy(
        role,
        region="eu-west-1",
        account=ACCOUNT,
        bucket="my-ledger",
        instance_roles=("shop-instances",),
    )
    assert f"{made}\n" in shown
