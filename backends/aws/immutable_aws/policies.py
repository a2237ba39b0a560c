"""What the policies of IAM must allow, for each kind of user: data, and JSON made of it.

The calls are those that this package really makes: tests compare. What a condition can be
put on is in the service authorization reference:
https://docs.aws.amazon.com/service-authorization/latest/reference/
"""

import json
from collections.abc import Iterator
from typing import Literal, get_args

import attrs

Role = Literal["read", "recover", "deploy", "build"]
Statement = dict[str, str | list[str] | dict[str, dict[str, str]]]
_OURS = "immutable-ledger"
_PREFIXES = {"elbv2": "elasticloadbalancing", "service-quotas": "servicequotas"}
# Where an action has another name than the call.
_ACTIONS = {
    "s3.GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "s3.GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3.ListObjectsV2": "s3:ListBucket",
}
# Making a thing with tags needs the right to tag; Auto Scaling launches in our name.
_ALSO = {
    "Alarm": ("cloudwatch:TagResource",),
    "Create": ("autoscaling:CreateOrUpdateTags", "elasticloadbalancing:AddTags"),
    "Launch": ("ec2:CreateTags", "ec2:RunInstances"),
}


@attrs.frozen(kw_only=True)
class Grant:
    """Calls that are allowed to the same users under the same condition.

    Args:
        name: the statement's ``Sid``.
        calls: as `immutable_aws.session.Aws` names them.
        roles: who may.
        made: only where our tags are given to what is made.
        tagged: only upon what has our tags.
        key: the tag by which it is ours.
    """

    name: str
    calls: tuple[str, ...]
    roles: tuple[Role, ...]
    made: bool = False
    tagged: bool = False
    key: str = _OURS

    @property
    def actions(self) -> tuple[str, ...]:
        """Return the actions of IAM that this comes to, sorted."""
        found = {action_of(call) for call in self.calls}
        return tuple(sorted(found | set(_ALSO.get(self.name, ()))))


_ALL = get_args(Role)
_CHANGING: tuple[Role, ...] = ("recover", "deploy")
GRANTS = (
    Grant(
        name="Look",
        calls=(
            "autoscaling.DescribeAccountLimits",
            "autoscaling.DescribeAutoScalingGroups",
            "autoscaling.DescribePolicies",
            "autoscaling.DescribeScalingActivities",
            "autoscaling.DescribeScheduledActions",
            "cloudwatch.DescribeAlarms",
            "cloudwatch.GetMetricData",
            "ec2.DescribeImages",
            "ec2.DescribeInstanceTypes",
            "ec2.DescribeInstances",
            "ec2.DescribeLaunchTemplateVersions",
            "ec2.DescribeLaunchTemplates",
            "ec2.DescribeSubnets",
            "ec2.GetConsoleOutput",
            "elbv2.DescribeAccountLimits",
            "elbv2.DescribeListeners",
            "elbv2.DescribeLoadBalancers",
            "elbv2.DescribeRules",
            "elbv2.DescribeTags",
            "elbv2.DescribeTargetGroupAttributes",
            "elbv2.DescribeTargetGroups",
            "elbv2.DescribeTargetHealth",
            "iam.SimulatePrincipalPolicy",
            "logs.DescribeLogStreams",
            "logs.GetLogEvents",
            "service-quotas.GetServiceQuota",
            "sts.GetCallerIdentity",
        ),
        roles=_ALL,
    ),
    Grant(
        name="ReadLedger",
        calls=(
            "s3.GetBucketLifecycleConfiguration",
            "s3.GetBucketPolicyStatus",
            "s3.GetBucketVersioning",
            "s3.GetObject",
            "s3.GetPublicAccessBlock",
            "s3.ListObjectsV2",
        ),
        roles=_ALL,
    ),
    Grant(
        name="WriteLedger",
        calls=("s3.PutObject",),
        roles=("recover", "deploy", "build"),
    ),
    Grant(
        name="KeepLogs",
        calls=(
            "logs.CreateLogGroup",
            "logs.CreateLogStream",
            "logs.PutLogEvents",
            "logs.PutRetentionPolicy",
        ),
        roles=_CHANGING,
    ),
    Grant(name="Route", calls=("elbv2.CreateRule",), roles=_CHANGING, made=True),
    Grant(
        name="Change",
        calls=(
            "autoscaling.BatchDeleteScheduledAction",
            "autoscaling.BatchPutScheduledUpdateGroupAction",
            "autoscaling.CreateOrUpdateTags",
            "autoscaling.DeleteAutoScalingGroup",
            "autoscaling.DeletePolicy",
            "autoscaling.PutScalingPolicy",
            "autoscaling.ResumeProcesses",
            "autoscaling.SuspendProcesses",
            "autoscaling.TerminateInstanceInAutoScalingGroup",
            "autoscaling.UpdateAutoScalingGroup",
            "cloudwatch.DeleteAlarms",
            "ec2.DeleteLaunchTemplate",
            "elbv2.DeleteRule",
            "elbv2.DeleteTargetGroup",
            "elbv2.DeregisterTargets",
            "elbv2.ModifyTargetGroupAttributes",
            "elbv2.RegisterTargets",
            "elbv2.SetRulePriorities",
        ),
        roles=_CHANGING,
        tagged=True,
    ),
    Grant(
        name="Alarm",
        calls=("cloudwatch.PutMetricAlarm",),
        roles=_CHANGING,
        made=True,
    ),
    Grant(
        name="Create",
        calls=("autoscaling.CreateAutoScalingGroup", "elbv2.CreateTargetGroup"),
        roles=("deploy",),
        made=True,
    ),
    Grant(
        name="Launch",
        calls=("ec2.CreateLaunchTemplate", "ec2.RunInstances"),
        roles=("deploy", "build"),
    ),
    Grant(
        name="Bake",
        calls=(
            "ec2.CopyImage",
            "ec2.CreateImage",
            "ec2.CreateTags",
            "ec2.DeleteTags",
            "ec2.DeregisterImage",
            "ec2.DescribeVolumes",
            "ec2.DisableImageDeregistrationProtection",
            "ec2.EnableImageDeprecation",
            "ec2.EnableImageDeregistrationProtection",
            "ec2.ModifyImageAttribute",
        ),
        roles=("build",),
    ),
    Grant(
        name="EndBuilders",
        calls=("ec2.DeleteVolume", "ec2.StopInstances", "ec2.TerminateInstances"),
        roles=("build",),
        tagged=True,
        key="immutable-bake",
    ),
    Grant(name="HandOver", calls=("s3.DeleteObject",), roles=("build",)),
    # only for nlb://, whose listeners are not ours and have no tags of ours
    Grant(
        name="ModifyListeners",
        calls=(
            "elbv2.AddTags",
            "elbv2.CreateListener",
            "elbv2.DeleteListener",
            "elbv2.ModifyListener",
        ),
        roles=_CHANGING,
    ),
)


def action_of(call: str) -> str:
    """Return the action of IAM that a call needs."""
    service, _, operation = call.partition(".")
    return _ACTIONS.get(call, f"{_PREFIXES.get(service, service)}:{operation}")


def actions_of(role: Role) -> tuple[str, ...]:
    """Return every action that a role needs, sorted."""
    return tuple(sorted({a for g in GRANTS if role in g.roles for a in g.actions}))


def policy(
    role: Role,
    *,
    region: str,
    account: str,
    bucket: str | None = None,
    instance_roles: tuple[str, ...] = (),
) -> str:
    """Return a policy of IAM as JSON: what the role needs, in one region, and no more.

    Args:
        role: ``read`` looks, ``recover`` finishes or undoes what others began, ``deploy``
            does all that, and ``build`` makes images.
        region: where.
        account: twelve digits.
        bucket: of the ledger and of builds; None: there is none.
        instance_roles: names of the roles that instances are given.
    """
    statements = [
        _statement(grant, region=region, bucket=bucket)
        for grant in GRANTS
        if role in grant.roles and (bucket or not _is_of_bucket(grant))
    ]
    if instance_roles and role in {"deploy", "build"}:
        statements.append(_passing(account, instance_roles))
    document = {"Version": "2012-10-17", "Statement": statements}
    return json.dumps(document, indent=2)


def _is_of_bucket(grant: Grant) -> bool:
    return all(call.startswith("s3.") for call in grant.calls)


def _statement(grant: Grant, *, region: str, bucket: str | None) -> Statement:
    conditions = dict(_conditions(grant))
    resources = ["*"]
    if _is_of_bucket(grant):
        resources = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
    elif "iam.SimulatePrincipalPolicy" not in grant.calls:
        conditions["StringEquals"] = {"aws:RequestedRegion": region}
    made: Statement = {
        "Sid": grant.name,
        "Effect": "Allow",
        "Action": list(grant.actions),
        "Resource": resources,
    }
    return made | {"Condition": conditions} if conditions else made


def _conditions(grant: Grant) -> Iterator[tuple[str, dict[str, str]]]:
    if grant.made:
        yield "Null", {f"aws:RequestTag/{grant.key}": "false"}
    if grant.tagged:
        yield "Null", {f"aws:ResourceTag/{grant.key}": "false"}


def _passing(account: str, roles: tuple[str, ...]) -> Statement:
    return {
        "Sid": "PassInstanceRoles",
        "Effect": "Allow",
        "Action": ["iam:PassRole"],
        "Resource": [f"arn:aws:iam::{account}:role/{role}" for role in roles],
        "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
    }
