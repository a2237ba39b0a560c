"""What the library assumes of AWS and nobody documents, or documents and has not shown us."""

import time
import urllib.error
import urllib.request
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from asking import UNAVAILABLE, refusal, until
from botocore.exceptions import ClientError

from immutable_aws.rules.parting import PATIENCE
from immutable_aws.switch_config import ListenerConfig, Place

pytestmark = [pytest.mark.live, pytest.mark.timeout(1200)]
ASSUMED = ListenerConfig(place=Place(region="eu-west-1"))
"""The switch's defaults: what they assume is compared with what is seen."""
WRITERS, SLOT = 8, 31_000


def answer(url):
    """Return the status and the body of an answer."""
    try:
        with urllib.request.urlopen(url, timeout=10) as found:
            return found.status, found.read().decode(errors="replace")
    except urllib.error.HTTPError as exc:
        return exc.code, exc.read().decode(errors="replace")


def says(text):
    """Return the action that answers 200 with a text."""
    told = {"StatusCode": "200", "ContentType": "text/plain", "MessageBody": text}
    return {"Type": "fixed-response", "FixedResponseConfig": told}


def forward(group):
    """Return the action that sends requests to a group."""
    return {"Type": "forward", "TargetGroupArn": group}


def states(live, group):
    """Return the state and the reason of each target."""
    found = live.client("elbv2").describe_target_health(TargetGroupArn=group)
    told = [row["TargetHealth"] for row in found["TargetHealthDescriptions"]]
    return [(each["State"], each.get("Reason", "")) for each in told]


def test_one_writer_wins_a_slot(live):
    """The whole fence of `alb://`: of rules with one priority AWS makes exactly one."""
    clients = [live.client("elbv2") for _ in range(WRITERS)]

    def write(client):
        try:
            made = client.create_rule(
                ListenerArn=live.listener,
                Priority=SLOT,
                Conditions=[{"Field": "path-pattern", "Values": ["/race"]}],
                Actions=[UNAVAILABLE],
            )
        except ClientError as exc:
            return exc.response["Error"]["Code"]
        rule = made["Rules"][0]["RuleArn"]
        live.cleanup.callback(lambda: client.delete_rule(RuleArn=rule))
        return "made"

    with ThreadPoolExecutor(WRITERS) as pool:
        found = list(pool.map(write, clients))
    assert sorted(found) == sorted(["made"] + ["PriorityInUse"] * (WRITERS - 1))


def test_a_rule_is_read_as_soon_as_assumed(live, ran):
    """DescribeRules shows what CreateRule has made within half of ``staleness``."""
    elbv2 = live.client("elbv2")
    rule = live.rule(SLOT, UNAVAILABLE, "/read")
    _, took = until(
        lambda: (
            rule
            in {
                row["RuleArn"]
                for page in elbv2.get_paginator("describe_rules").paginate(
                    ListenerArn=live.listener
                )
                for row in page["Rules"]
            }
        )
    )
    tags = elbv2.describe_tags(ResourceArns=[rule])["TagDescriptions"][0]["Tags"]
    assert tags, "the tags are there with the rule"
    ran(f"live: a rule is read {took:.1f} s after it was made")
    assert took <= ASSUMED.staleness.total_seconds() / 2


def test_a_change_is_obeyed_as_soon_as_assumed(live, ran):
    """Every node does as the new rule says within ``propagation``, and goes on to."""
    live.rule(SLOT + 1, says("old"), "/obey")
    until(lambda: answer(f"{live.url}/obey") == (200, "old"))
    live.rule(SLOT, says("new"), "/obey")
    began, last_old = time.monotonic(), 0.0
    while (now := time.monotonic() - began) < 2 * ASSUMED.propagation.total_seconds():
        status, text = answer(f"{live.url}/obey")
        assert status == 200, "no moment without a rule"
        if text == "old":
            last_old = now
    ran(f"live: the last answer by the old rule came after {last_old:.1f} s")
    assert last_old <= ASSUMED.propagation.total_seconds()


def test_what_is_late_lands_below(live):
    """A rule with a higher number than one that is there gets no request."""
    live.rule(SLOT, says("new"), "/late")
    until(lambda: answer(f"{live.url}/late") == (200, "new"))
    live.rule(SLOT + 1, says("late"), "/late")
    until_over = time.monotonic() + ASSUMED.propagation.total_seconds()
    while time.monotonic() < until_over:
        assert answer(f"{live.url}/late") == (200, "new")
        time.sleep(0.2)


def test_a_group_in_use_is_not_deleted(live, ran):
    """``guards_deletion``: while a rule names it; and no rule can name one that is gone.

    How long it is called in use after its rule has gone is what a detach waits for.
    """
    elbv2 = live.client("elbv2")
    group = live.target_group()
    rule = live.rule(SLOT, forward(group), "/use")
    assert refusal(elbv2.delete_target_group, TargetGroupArn=group) == "ResourceInUse"
    elbv2.delete_rule(RuleArn=rule)
    _, took = until(
        lambda: refusal(elbv2.delete_target_group, TargetGroupArn=group) == ""
    )
    ran(f"live: a group is in use {took:.1f} s after its rule was deleted")
    assert took <= PATIENCE.total_seconds()
    gone = refusal(
        elbv2.create_rule,
        ListenerArn=live.listener,
        Priority=SLOT,
        Conditions=[{"Field": "path-pattern", "Values": ["/use"]}],
        Actions=[forward(group)],
    )
    assert gone == "TargetGroupNotFound"


def test_deleting_twice_is_no_error(live):
    """A repeated delete_target_group succeeds or says TargetGroupNotFound, no third."""
    elbv2 = live.client("elbv2")
    group = live.target_group()
    assert refusal(elbv2.delete_target_group, TargetGroupArn=group) == ""
    again = refusal(elbv2.delete_target_group, TargetGroupArn=group)
    assert again in {"", "TargetGroupNotFound"}


def test_a_condition_takes_three_values(live):
    """The limit that `preview_from`, `hosts` and `paths` rest upon."""
    elbv2 = live.client("elbv2")
    networks = [f"192.0.2.{number}/32" for number in range(4)]
    refused = refusal(
        elbv2.create_rule,
        ListenerArn=live.listener,
        Priority=SLOT,
        Conditions=[{"Field": "source-ip", "SourceIpConfig": {"Values": networks}}],
        Actions=[UNAVAILABLE],
    )
    assert refused
    elbv2.delete_rule(
        RuleArn=elbv2.create_rule(
            ListenerArn=live.listener,
            Priority=SLOT,
            Conditions=[
                {"Field": "source-ip", "SourceIpConfig": {"Values": networks[:3]}}
            ],
            Actions=[UNAVAILABLE],
        )["Rules"][0]["RuleArn"]
    )


def test_health_needs_a_rule(live, ran):
    """Unused until a rule names the group; then probed, and healthy by two probes."""
    elbv2, ec2 = live.client("elbv2"), live.client("ec2")
    group, instance = live.target_group(), live.launch(uuid.uuid4().hex)
    ec2.get_waiter("instance_running").wait(InstanceIds=[instance])
    elbv2.register_targets(TargetGroupArn=group, Targets=[{"Id": instance}])
    assert states(live, group) == [("unused", "Target.NotInUse")]
    live.rule(SLOT, forward(group), "/nobody-asks")
    _, took = until(lambda: states(live, group) == [("healthy", "")])
    ran(f"live: healthy {took:.1f} s after a rule named the group")


def test_a_token_launches_once(live):
    """RunInstances under one ClientToken is one launch; with others it is refused."""
    ec2 = live.client("ec2")
    token = uuid.uuid4().hex
    first = live.launch(token)
    assert live.launch(token) == first
    other = refusal(
        ec2.run_instances,
        ImageId=live.image,
        MinCount=1,
        MaxCount=1,
        InstanceType="t3.small",
        SubnetId=live.subnet,
        ClientToken=token,
    )
    assert other == "IdempotentParameterMismatch"


def test_a_template_is_made_once_by_its_token(live):
    """CreateLaunchTemplate again, as after a restart: the same id, and no second one."""
    ec2, name, token = live.client("ec2"), live.name("lt"), uuid.uuid4().hex
    told = {
        "LaunchTemplateName": name,
        "LaunchTemplateData": {"ImageId": live.image, "InstanceType": "t3.micro"},
    }
    live.cleanup.callback(lambda: ec2.delete_launch_template(LaunchTemplateName=name))
    first = ec2.create_launch_template(ClientToken=token, **told)
    again = live.client("ec2").create_launch_template(ClientToken=token, **told)
    ids = {each["LaunchTemplate"]["LaunchTemplateId"] for each in (first, again)}
    assert len(ids) == 1
    other = refusal(ec2.create_launch_template, ClientToken=uuid.uuid4().hex, **told)
    assert other == "InvalidLaunchTemplateName.AlreadyExistsException"


def test_groups_of_one_name_are_refused(live):
    """Auto Scaling knows no tokens: AlreadyExists is what a repeat is known by."""
    told = live.group(0)
    again = live.client("autoscaling").create_auto_scaling_group
    assert refusal(again, **told) == "AlreadyExists"


def test_throttling_looks_as_it_is_classified(live, place):
    """What the library takes for "not applied, later again" is what AWS says."""
    if "emulated" in place:
        pytest.skip("the emulator throttles only when it is told to")
    elbv2, seen = live.client("elbv2"), set()

    def ask(_number):
        return refusal(elbv2.describe_rules, ListenerArn=live.listener)

    with ThreadPoolExecutor(50) as pool:
        seen = set(pool.map(ask, range(2000))) - {""}
    if not seen:
        pytest.skip("AWS did not throttle 2,000 readings")
    assert seen <= {"Throttling", "ThrottlingException", "RequestLimitExceeded"}
