"""The calls that this package makes, as grants of IAM: to whom, and under which condition.

The calls are those that this package really makes: tests compare. What a condition can be
put on, and which action a call needs beside its own, is in the service authorization
reference: https://docs.aws.amazon.com/service-authorization/latest/reference/

Whoever may tag what is there already makes it ours, and may then delete it. So the right to
tag is given as part of a creation: ``elasticloadbalancing:CreateAction`` and
``ec2:CreateAction`` (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/supported-iam-actions-tagging.html,
https://docs.aws.amazon.com/elasticloadbalancing/latest/userguide/tagging-resources-during-creation.html).
Auto Scaling, CloudWatch and its logs have no such key: there a name must look like one of ours.
"""

from typing import Literal, get_args

import attrs

Role = Literal["read", "recover", "deploy", "build"]
EVERYTHING = ("*",)
_OURS = "immutable-ledger"
_PREFIXES = {"elbv2": "elasticloadbalancing", "service-quotas": "servicequotas"}
# Where an action has another name than the call.
_ACTIONS = {
    "s3.GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
    "s3.GetPublicAccessBlock": "s3:GetBucketPublicAccessBlock",
    "s3.ListObjectsV2": "s3:ListBucket",
}
_S3 = "arn:{partition}:s3:::{bucket}"
_BUCKET = (_S3, f"{_S3}/*")
# as `immutable.names.fleet_name` makes them; alarms begin with their fleet's name
_GROUPS = (
    "arn:{partition}:autoscaling:{region}:{account}:autoScalingGroup:*"
    ":autoScalingGroupName/*-v*-*"
)
_ALARMS = "arn:{partition}:cloudwatch:{region}:{account}:alarm:*-v*-*"
_LOGS = "arn:{partition}:logs:{region}:{account}:log-group:/immutable/*"
_IMAGES = "arn:{partition}:ec2:{region}::image/*"


@attrs.frozen(kw_only=True)
class Grant:
    """Calls that are allowed to the same users under the same condition.

    Args:
        name: the statement's ``Sid``.
        roles: who may.
        calls: as `immutable_aws.session.Aws` names them.
        also: actions that calls need beside their own, those of other grants, too.
        within: only as part of one of these operations, which make what is tagged.
        made: only where our tags are given to what is made.
        tagged: only upon what has our tags.
        key: the tag by which it is ours.
        keys: only tags whose keys match.
        on: the ARNs, of which ``{}`` are filled in; where one cannot be, there is no such
            statement.
        regional: only in the policy's region; ARNs say so themselves.
    """

    name: str
    roles: tuple[Role, ...]
    calls: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    within: tuple[str, ...] = ()
    made: bool = False
    tagged: bool = False
    key: str = _OURS
    keys: str = ""
    on: tuple[str, ...] = EVERYTHING
    regional: bool = True

    @property
    def actions(self) -> tuple[str, ...]:
        """Return the actions of IAM that this comes to, sorted."""
        return tuple(sorted({*map(action_of, self.calls), *self.also}))


_ALL = get_args(Role)
_CHANGING: tuple[Role, ...] = ("recover", "deploy")
_WRITING: tuple[Role, ...] = ("recover", "deploy", "build")
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
            "logs.DescribeLogGroups",
            "logs.DescribeLogStreams",
            "logs.GetLogEvents",
            "service-quotas.GetServiceQuota",
            "sts.GetCallerIdentity",
        ),
        roles=_ALL,
        regional=False,
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
        on=_BUCKET,
    ),
    Grant(
        name="WriteLedger",
        calls=("s3.PutObject",),
        roles=_WRITING,
        on=_BUCKET,
    ),
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
    Grant(name="Decrypt", also=("kms:Decrypt",), roles=_ALL, on=("{key}",)),
    Grant(
        name="Encrypt",
        also=("kms:GenerateDataKey",),
        roles=_WRITING,
        on=("{key}",),
    ),
    Grant(
        name="KeepLogs",
        calls=(
            "logs.CreateLogGroup",
            "logs.CreateLogStream",
            "logs.PutLogEvents",
            "logs.PutRetentionPolicy",
        ),
        also=("logs:TagResource",),
        roles=_CHANGING,
        on=(_LOGS,),
    ),
    Grant(name="Route", calls=("elbv2.CreateRule",), roles=_CHANGING, made=True),
    Grant(
        name="TagRules",
        also=("elasticloadbalancing:AddTags",),
        within=("CreateRule",),
        roles=_CHANGING,
        made=True,
    ),
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
            "autoscaling.SetInstanceHealth",
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
        also=("cloudwatch:TagResource",),
        roles=_CHANGING,
        made=True,
        on=(_ALARMS,),
    ),
    Grant(
        name="Create",
        calls=("autoscaling.CreateAutoScalingGroup", "elbv2.CreateTargetGroup"),
        roles=("deploy",),
        made=True,
    ),
    Grant(
        name="TagTargetGroups",
        also=("elasticloadbalancing:AddTags",),
        within=("CreateTargetGroup",),
        roles=("deploy",),
        made=True,
    ),
    Grant(
        name="TagGroups",
        also=("autoscaling:CreateOrUpdateTags",),
        roles=("deploy",),
        made=True,
        on=(_GROUPS,),
    ),
    # Auto Scaling asks whether the group's maker may launch, and tag, what it launches:
    # https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-api-permissions.html
    Grant(
        name="Launch",
        calls=("ec2.CreateLaunchTemplate", "ec2.RunInstances"),
        roles=("deploy", "build"),
    ),
    Grant(
        name="TagLaunched",
        also=("ec2:CreateTags",),
        within=("CreateLaunchTemplate", "RunInstances"),
        roles=("deploy", "build"),
    ),
    Grant(
        name="Bake",
        calls=(
            "ec2.CopyImage",
            "ec2.CreateImage",
            "ec2.DescribeSnapshots",
            "ec2.DescribeVolumes",
            "ec2.DisableImageDeregistrationProtection",
            "ec2.EnableImageDeprecation",
            "ec2.EnableImageDeregistrationProtection",
            "ec2.ModifyImageAttribute",
        ),
        roles=("build",),
    ),
    Grant(
        name="TagImages",
        also=("ec2:CreateTags",),
        within=("CopyImage", "CreateImage"),
        roles=("build",),
    ),
    Grant(
        name="Lease",
        calls=("ec2.CreateTags", "ec2.DeleteTags"),
        roles=("build",),
        keys="immutable-lease:*",
        on=(_IMAGES,),
    ),
    # DeregisterImage, too, deletes snapshots only for those who may: where they may not, it
    # says "missing-permissions" of each
    Grant(
        name="EndImages",
        calls=("ec2.DeleteSnapshot", "ec2.DeregisterImage"),
        roles=("build",),
        tagged=True,
        key="immutable-recipe",
    ),
    Grant(
        name="EndCopies",
        calls=("ec2.DeleteSnapshot", "ec2.DeregisterImage"),
        roles=("build",),
        tagged=True,
        key="immutable-source",
    ),
    Grant(
        name="EndBuilders",
        calls=("ec2.DeleteVolume", "ec2.StopInstances", "ec2.TerminateInstances"),
        roles=("build",),
        tagged=True,
        key="immutable-bake",
    ),
    Grant(
        name="HandOver",
        calls=("s3.DeleteObject",),
        roles=("build",),
        on=(f"{_S3}/immutable-bake/*",),
    ),
    # only for nlb://, which points a listener that is not ours, and tags it
    Grant(
        name="Point",
        calls=("elbv2.AddTags", "elbv2.ModifyListener"),
        roles=_CHANGING,
        on=("{listener}",),
    ),
    Grant(
        name="Listen",
        calls=("elbv2.CreateListener",),
        roles=_CHANGING,
        made=True,
        on=("{balancer}",),
    ),
    Grant(
        name="TagListeners",
        also=("elasticloadbalancing:AddTags",),
        within=("CreateListener",),
        roles=_CHANGING,
        made=True,
        on=("{beside}/*",),
    ),
    # where nobody is to be served and the listener cannot say so itself
    Grant(
        name="PointToNobody",
        calls=("elbv2.CreateTargetGroup",),
        roles=("recover",),
        made=True,
        on=("{nobody}",),
    ),
    Grant(
        name="TagNobody",
        also=("elasticloadbalancing:AddTags",),
        within=("CreateTargetGroup",),
        roles=("recover",),
        made=True,
        on=("{nobody}",),
    ),
    Grant(
        name="EndListeners",
        calls=("elbv2.DeleteListener",),
        roles=_CHANGING,
        tagged=True,
        key="immutable-fleet",
        on=("{beside}/*",),
    ),
)


def action_of(call: str) -> str:
    """Return the action of IAM that a call needs."""
    service, _, operation = call.partition(".")
    return _ACTIONS.get(call, f"{_PREFIXES.get(service, service)}:{operation}")
