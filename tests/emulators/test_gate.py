"""What comes before an operation: counts, throttling, credentials, permissions, staleness."""

import datetime as dt
import json
import time
from functools import partial

import pytest
from botocore.exceptions import ClientError

from emulators.aws.account import KEY, ONCE, session_of
from emulators.aws.gate import Bucket
from emulators.aws.settings import Settings
from emulators.plane.traffic import Traffic


def _client(emulator, service, key=KEY):
    return session_of(key).client(service, endpoint_url=emulator.url, config=ONCE)


def test_every_call_is_counted_with_its_errors(account, refused):
    """Counted at the server: by service and operation, with a trace in order."""
    account.emulator.calls(clear=True)
    account.ec2.describe_instances()
    refused(account.ec2.describe_instances, InstanceIds=["i-00000000000000000"])
    _client(account.emulator, "s3").create_bucket(
        Bucket="counted", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    calls = account.emulator.calls()
    assert calls.counts == {"ec2:DescribeInstances": 2, "s3:CreateBucket": 1}
    assert calls.errors == {"ec2:DescribeInstances InvalidInstanceID.NotFound": 1}
    assert [each["name"] for each in calls.trace] == [
        "ec2:DescribeInstances",
        "ec2:DescribeInstances",
        "s3:CreateBucket",
    ]


@pytest.mark.parametrize(
    ("service", "operation", "params", "code"),
    [
        ("ec2", "describe_vpcs", {}, "RequestLimitExceeded"),
        ("elbv2", "describe_target_groups", {}, "Throttling"),
        ("autoscaling", "describe_auto_scaling_groups", {}, "Throttling"),
        ("s3", "list_buckets", {}, "SlowDown"),
        ("logs", "describe_log_groups", {}, "ThrottlingException"),
    ],
)
def test_each_service_throttles_in_its_own_words(
    emulator, refused, service, operation, params, code
):
    """EC2, "Request throttling"; common errors; S3 error responses."""
    client = _client(emulator, service)
    emulator.configure(throttles=f"{service}=1/0.001")
    getattr(client, operation)(**params)
    assert refused(getattr(client, operation), **params) == code


def test_families_have_buckets_of_their_own(account, refused):
    """EC2, "Request throttling": the longest name that fits is the family."""
    account.emulator.configure(throttles="ec2=1/0.001 ec2:Describe=100/100")
    for _ in range(5):
        account.ec2.describe_instances()
    account.ec2.create_vpc(CidrBlock="10.0.0.0/16")
    code = refused(account.ec2.create_vpc, CidrBlock="10.1.0.0/16")
    assert code == "RequestLimitExceeded"


def test_a_bucket_fills_again():
    """EC2, "Request throttling": the token bucket algorithm."""
    bucket = Bucket(1, 1000)
    assert bucket.take()
    deadline = time.monotonic() + 5
    while not bucket.take():
        assert time.monotonic() < deadline


@pytest.mark.parametrize(
    ("service", "operation", "expired", "unknown"),
    [
        ("ec2", "describe_vpcs", "RequestExpired", "AuthFailure"),
        ("sts", "get_caller_identity", "ExpiredToken", "InvalidClientTokenId"),
        ("s3", "list_buckets", "ExpiredToken", "InvalidAccessKeyId"),
        (
            "logs",
            "describe_log_groups",
            "ExpiredTokenException",
            "UnrecognizedClientException",
        ),
    ],
)
def test_keys_can_be_expired_or_unknown(
    emulator, refused, service, operation, expired, unknown
):
    """EC2 error codes; common errors: other keys go on to work."""
    emulator.configure(expired_keys="AKIAOLD", unknown_keys="AKIAWHO")
    codes = [
        refused(getattr(_client(emulator, service, key), operation))
        for key in ("AKIAOLD", "AKIAWHO")
    ]
    assert codes == [expired, unknown]
    assert getattr(_client(emulator, service), operation)()


def test_the_caller_has_an_account(emulator):
    """STS, GetCallerIdentity: what a deployer compares with the account it is to use."""
    found = _client(emulator, "sts").get_caller_identity()
    assert found["Account"] == "123456789012"


def test_what_is_denied_is_simulated_so(emulator, refused):
    """IAM, SimulatePrincipalPolicy: allowed, or explicitDeny."""
    emulator.configure(denied="ec2:RunInstances")
    who = _client(emulator, "sts").get_caller_identity()["Arn"]
    actions = ["ec2:RunInstances", "ec2:DescribeInstances"]
    found = _client(emulator, "iam").simulate_principal_policy(
        PolicySourceArn=who.replace(":sts:", ":iam:"), ActionNames=actions
    )["EvaluationResults"]
    assert [each["EvalDecision"] for each in found] == ["explicitDeny", "allowed"]
    call = _client(emulator, "ec2").run_instances
    asked = {"ImageId": "ami-0", "MinCount": 1, "MaxCount": 1}
    assert refused(call, **asked) == "UnauthorizedOperation"


def test_policies_are_evaluated(emulator):
    """IAM, "Policy evaluation logic": deny before allow, nothing is denied implicitly."""
    iam = _client(emulator, "iam")
    role = iam.create_role(RoleName="deploy", AssumeRolePolicyDocument="{}")["Role"]
    statements = [
        {"Effect": "Allow", "Action": ["ec2:*", "s3:GetObject"], "Resource": "*"},
        {"Effect": "Deny", "Action": "ec2:Terminate*", "Resource": "*"},
        {"Effect": "Allow", "Action": "s3:Put*", "Resource": "arn:aws:s3:::b/*"},
    ]
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_role_policy(RoleName="deploy", PolicyName="p", PolicyDocument=document)
    actions = ["ec2:RunInstances", "ec2:TerminateInstances", "s3:PutObject"]
    found = iam.simulate_principal_policy(
        PolicySourceArn=role["Arn"], ActionNames=actions
    )["EvaluationResults"]
    assert [each["EvalDecision"] for each in found] == [
        "allowed",
        "explicitDeny",
        "implicitDeny",
    ]
    (named,) = iam.simulate_principal_policy(
        PolicySourceArn=role["Arn"],
        ActionNames=["s3:PutObject"],
        ResourceArns=["arn:aws:s3:::b/1"],
    )["EvaluationResults"]
    assert named["EvalDecision"] == "allowed"


def test_quotas_can_be_read(emulator):
    """Service Quotas: what is enforced is told."""
    emulator.configure(vcpus=7)
    quotas = _client(emulator, "service-quotas")
    code = "L-1216C47A"
    found = quotas.get_service_quota(ServiceCode="ec2", QuotaCode=code)
    assert found["Quota"]["Value"] == 7.0
    listed = quotas.list_service_quotas(ServiceCode="ec2")["Quotas"]
    assert [each["QuotaCode"] for each in listed] == [code, "L-34B43A08"]


def test_new_ids_are_not_found_for_a_moment(account):
    """EC2, "Eventual consistency": an id that was just given may not be known."""
    image = account.image()
    account.emulator.configure(stale_s=0.5)
    missed = 0
    for _ in range(20):
        (instance,) = account.launch(image)
        try:
            account.state(instance)
        except ClientError as error:
            missed += error.response["Error"]["Code"] == "InvalidInstanceID.NotFound"
    assert missed
    assert account.until(lambda: _found(account, instance))


def test_reads_may_be_as_old_as_was_said(account):
    """EC2, "Eventual consistency": a change shows in all reads after a while only."""
    account.target_group("one")
    account.emulator.configure(stale_s=0.5)
    names = _names(account)
    account.target_group("two")
    seen = [_names(account) for _ in range(30)]
    assert names in seen
    account.until(lambda: all(_names(account) == {"one", "two"} for _ in range(10)))


def test_without_staleness_reads_are_current(account):
    """The negative control: what was read as old was old because it was asked for."""
    account.target_group("one")
    assert _names(account) == {"one"}
    account.target_group("two")
    assert all(_names(account) == {"one", "two"} for _ in range(10))


def test_settings_are_checked():
    """A setting that is misspelled is an error, not a test that tests nothing."""
    with pytest.raises(TypeError):
        Settings().changed('{"boots": 1}')
    assert Settings.parse(Settings(boot_s=2.0).spell()) == Settings(boot_s=2.0)


def _found(account, instance):
    try:
        return account.state(instance)
    except ClientError:
        return ""


def _names(account):
    found = account.elbv2.describe_target_groups()["TargetGroups"]
    return {each["TargetGroupName"] for each in found}


def test_metrics_are_of_the_requests_that_were_made(account):
    """ALB, "CloudWatch metrics": RequestCount and the rest; moto has none."""
    target_group = account.serve("fleet", "release=v1", 100, size=2)
    with Traffic(url=account.url) as traffic:
        traffic.wait_for(50)
    told = partial(_told, account, _dimensions(account, target_group))
    made = len(traffic.report.samples)
    account.until(lambda: told("RequestCount", "Sum") == made)
    assert told("HTTPCode_Target_2XX_Count", "Sum") == made
    assert told("TargetResponseTime", "Average") > 0
    assert told("HealthyHostCount", "Maximum") == 2
    cloudwatch = _client(account.emulator, "cloudwatch")
    dimensions = _dimensions(account, target_group)
    for ordered in (dimensions, dimensions[::-1]):
        assert sum(_values(cloudwatch, "RequestCount", ordered)) == made


def test_requests_without_an_answer_are_counted_for_the_load_balancer(account):
    """ALB, "CloudWatch metrics": HTTPCode_Target_* has none of its own answers."""
    target_group = account.serve("fleet", "release=v1", 100, size=1)
    (instance,) = account.in_service("fleet")
    account.emulator.kill(instance)
    with Traffic(url=account.url) as traffic:
        traffic.wait_for(10)
    own, *whole = _dimensions(account, target_group)
    made = traffic.report.statuses[502]
    account.until(
        lambda: _told(account, whole, "HTTPCode_ELB_502_Count", "Sum") == made
    )
    assert _told(account, [own, *whole], "RequestCount", "Sum") >= made
    assert _told(account, [own, *whole], "HTTPCode_Target_5XX_Count", "Sum") == 0


def _dimensions(account, target_group):
    balancer = account.load_balancer.partition("loadbalancer/")[2]
    return [
        {"Name": "TargetGroup", "Value": target_group.rpartition(":")[2]},
        {"Name": "LoadBalancer", "Value": balancer},
    ]


def _told(account, dimensions, metric, statistic):
    found = _client(account.emulator, "cloudwatch").get_metric_statistics(
        Namespace="AWS/ApplicationELB",
        MetricName=metric,
        Dimensions=dimensions,
        StartTime=dt.datetime.now(tz=dt.UTC) - dt.timedelta(minutes=10),
        EndTime=dt.datetime.now(tz=dt.UTC) + dt.timedelta(minutes=10),
        Period=1200,
        Statistics=[statistic],
    )["Datapoints"]
    return sum(each[statistic] for each in found)


def _values(cloudwatch, metric, dimensions):
    stat = {
        "Metric": {
            "Namespace": "AWS/ApplicationELB",
            "MetricName": metric,
            "Dimensions": dimensions,
        },
        "Period": 1200,
        "Stat": "Sum",
    }
    return cloudwatch.get_metric_data(
        MetricDataQueries=[{"Id": "one", "MetricStat": stat}],
        StartTime=dt.datetime.now(tz=dt.UTC) - dt.timedelta(minutes=10),
        EndTime=dt.datetime.now(tz=dt.UTC) + dt.timedelta(minutes=10),
    )["MetricDataResults"][0]["Values"]
