"""Marks against instances that became well again while their group held still.

A group that is held goes on judging: "Instances that fail EC2 or Elastic Load Balancing health
checks are still marked as unhealthy. As soon as you resume this process, Amazon EC2 Auto Scaling
replaces instances that were marked unhealthy while this process was suspended"
(https://docs.aws.amazon.com/autoscaling/ec2/userguide/as-suspend-resume-processes.html). And a
mark stays: a health status "never automatically recovers"
(https://docs.aws.amazon.com/autoscaling/ec2/userguide/ec2-auto-scaling-health-checks.html). So
who lets a group go takes back first what is not true any more, or all of a healthy fleet could be
terminated at once.
"""

from immutable.model import Health
from immutable_aws.groups.calls import Groups
from immutable_aws.groups.group import Group
from immutable_aws.rules.targets import Targets


class Forgiving:
    """Takes back marks, where the load balancer calls the instance healthy."""

    def __init__(self, *, groups: Groups, targets: Targets) -> None:
        self._groups = groups
        self._targets = targets

    def forgive(self, group: Group) -> None:
        """Mark as healthy what all of a group's target groups find healthy.

        Where nothing is marked that is no call. Without a target group nobody knows better
        than the mark does.
        """
        marked = {seat.id for seat in group.staying if not seat.is_healthy}
        if not marked or not group.places:
            return
        for place in group.places:
            marked &= {
                target.instance
                for target in self._targets.look(place)
                if target.probe.health is Health.READY
            }
        for instance in sorted(marked):
            self._groups.acquit(instance)
