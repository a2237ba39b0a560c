"""The floor: a bare script that replaces one fleet by another with the fewest calls.

It makes no mistake and meets none: nobody else is at work, nothing fails, and nothing is
written down. Its health proof, its polling and its retirement are those of the others.

    python -m bench.aws.floor JOB
"""

import sys
import time
from collections.abc import Callable

import boto3
from botocore.config import Config

from bench.aws.job import POLL_S, Job

_ONCE = Config(retries={"total_max_attempts": 1})
_WAIT_S = 120.0


class Floor:
    """Makes the calls."""

    def __init__(self, job: Job) -> None:
        session = boto3.Session(region_name=job.region)
        self._job = job
        self._ec2 = session.client("ec2", config=_ONCE)
        self._elb = session.client("elbv2", config=_ONCE)
        self._scaling = session.client("autoscaling", config=_ONCE)

    def deploy(self) -> None:
        """Bring the new release into traffic, and clear away the old one, if any."""
        group = self._target_group()
        probed = self._probe(group)
        self._launch(group)
        self._until(lambda: self._is_healthy(group))
        self._elb.modify_listener(
            ListenerArn=self._job.listener,
            DefaultActions=[{"Type": "forward", "TargetGroupArn": group}],
        )
        self._elb.delete_rule(RuleArn=probed)
        if self._job.old:
            time.sleep(self._job.drain_s)
            self._retire(self._job.old)

    def _target_group(self) -> str:
        made = self._elb.create_target_group(
            Name=self._job.new,
            Protocol="HTTP",
            Port=8080,
            VpcId=self._job.vpc,
            HealthCheckPath="/health",
            HealthCheckIntervalSeconds=5,
            HealthyThresholdCount=2,
        )
        return made["TargetGroups"][0]["TargetGroupArn"]

    def _probe(self, group: str) -> str:
        """Have the group probed: AWS probes none that nothing names."""
        made = self._elb.create_rule(
            ListenerArn=self._job.listener,
            Priority=1,
            Conditions=[{"Field": "path-pattern", "Values": ["/never-asked-for"]}],
            Actions=[{"Type": "forward", "TargetGroupArn": group}],
        )
        return made["Rules"][0]["RuleArn"]

    def _launch(self, group: str) -> None:
        job = self._job
        self._ec2.create_launch_template(
            LaunchTemplateName=job.new,
            LaunchTemplateData={"ImageId": job.image, "InstanceType": "t3.micro"},
        )
        self._scaling.create_auto_scaling_group(
            AutoScalingGroupName=job.new,
            MinSize=job.size,
            MaxSize=job.size,
            LaunchTemplate={"LaunchTemplateName": job.new, "Version": "1"},
            VPCZoneIdentifier=",".join(job.subnets),
            TargetGroupARNs=[group],
            HealthCheckType="ELB",
            HealthCheckGracePeriod=300,
        )

    def _is_healthy(self, group: str) -> bool:
        found = self._elb.describe_target_health(TargetGroupArn=group)
        told = [each["TargetHealth"] for each in found["TargetHealthDescriptions"]]
        return [each["State"] for each in told] == ["healthy"] * self._job.size

    def _retire(self, old: str) -> None:
        named = {"AutoScalingGroupName": old}
        self._scaling.delete_auto_scaling_group(ForceDelete=True, **named)
        self._until(lambda: self._is_gone(old))
        found = self._elb.describe_target_groups(Names=[old])["TargetGroups"][0]
        self._elb.delete_target_group(TargetGroupArn=found["TargetGroupArn"])
        self._ec2.delete_launch_template(LaunchTemplateName=old)

    def _is_gone(self, name: str) -> bool:
        found = self._scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])
        return not found["AutoScalingGroups"]

    def _until(self, good: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _WAIT_S
        while not good():
            if time.monotonic() > deadline:
                raise TimeoutError(self._job.new)
            time.sleep(POLL_S)


if __name__ == "__main__":
    Floor(Job.parse(sys.argv[1])).deploy()
