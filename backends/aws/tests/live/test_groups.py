"""What AWS does with a group that is held: marks, schedules, and its end."""

import time

import pytest
from asking import until
from botocore.exceptions import ClientError

from immutable_aws.groups.group import HELD

pytestmark = [pytest.mark.live, pytest.mark.timeout(1200)]
_OVER_A_MINUTE_S = 130
"""An action that recurs each minute has come up twice."""
_EMULATED_S = 5


@pytest.fixture
def scaling(live):
    """Return the client."""
    return live.client("autoscaling")


def seats(scaling, name):
    """Return the health of each instance in service, as the group has it."""
    found = scaling.describe_auto_scaling_groups(AutoScalingGroupNames=[name])
    (group,) = found["AutoScalingGroups"]
    return {
        seat["InstanceId"]: seat["HealthStatus"]
        for seat in group["Instances"]
        if seat["LifecycleState"] == "InService"
    }


def hold(scaling, name):
    """Suspend what the library suspends."""
    scaling.suspend_processes(AutoScalingGroupName=name, ScalingProcesses=list(HELD))


def test_a_mark_stays_until_it_is_taken_back(live, scaling):
    """What is marked while it is held lives, and lives on if it is acquitted in time."""
    name = live.group(1)["AutoScalingGroupName"]
    ((instance,), _) = until(lambda: list(seats(scaling, name)))
    hold(scaling, name)
    for health in ("Unhealthy", "Healthy"):
        seen = {instance: health}
        scaling.set_instance_health(InstanceId=instance, HealthStatus=health)
        until(lambda seen=seen: seats(scaling, name) == seen)
    scaling.resume_processes(AutoScalingGroupName=name)
    time.sleep(_EMULATED_S)
    assert seats(scaling, name) == {instance: "Healthy"}


def test_what_recurs_outlives_a_hold(live, scaling, place):
    """The rules of a group are copied when it is let go: they must still be there."""
    name = live.group(0)["AutoScalingGroupName"]
    scaling.put_scheduled_update_group_action(
        AutoScalingGroupName=name,
        ScheduledActionName="often",
        Recurrence="* * * * *",
        MinSize=0,
        MaxSize=0,
    )
    hold(scaling, name)
    time.sleep(_EMULATED_S if "emulated" in place else _OVER_A_MINUTE_S)
    found = scaling.describe_scheduled_actions(AutoScalingGroupName=name)
    rows = found["ScheduledUpdateGroupActions"]
    assert [row["ScheduledActionName"] for row in rows] == ["often"]


def test_a_group_that_is_going_is_refused_as_it_is_understood(live, scaling):
    """There is no code for it: the library goes by these words."""
    name = live.group(1)["AutoScalingGroupName"]
    until(lambda: seats(scaling, name))
    scaling.delete_auto_scaling_group(AutoScalingGroupName=name, ForceDelete=True)
    with pytest.raises(ClientError, match=r"pending delete|not found") as caught:
        hold(scaling, name)
    assert caught.value.response["Error"]["Code"] == "ValidationError"
