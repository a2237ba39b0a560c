"""What an Auto Scaling group is made of."""

import datetime as dt
import time
import uuid
from collections.abc import Mapping
from typing import Literal

import attrs

PROCESSES = (
    "Launch",
    "Terminate",
    "AddToLoadBalancer",
    "AlarmNotification",
    "AZRebalance",
    "HealthCheck",
    "InstanceRefresh",
    "ReplaceUnhealthy",
    "ScheduledActions",
)
Lifecycle = Literal[
    "Pending", "Pending:Wait", "InService", "Standby", "Terminating", "Terminating:Wait"
]


def now() -> dt.datetime:
    """Return the time, as AWS tells it."""
    return dt.datetime.now(tz=dt.UTC)


@attrs.define(eq=False, kw_only=True)
class Activity:
    """One scaling activity: a launch or a termination, and how it went."""

    group: str
    description: str
    cause: str
    code: str = "InProgress"
    message: str = ""
    details: str = "{}"
    id: str = attrs.field(factory=lambda: str(uuid.uuid4()))
    start: dt.datetime = attrs.field(factory=now)
    end: dt.datetime | None = None

    def finish(self, code: str, message: str = "") -> None:
        """Note how it ended."""
        self.code, self.message, self.end = code, message, now()

    def told(self) -> dict[str, object]:
        """Return it as DescribeScalingActivities does."""
        found: dict[str, object] = {
            "ActivityId": self.id,
            "AutoScalingGroupName": self.group,
            "Description": self.description,
            "Cause": self.cause,
            "StartTime": self.start,
            "StatusCode": self.code,
            "Progress": 100 if self.end else 50,
            "Details": self.details,
        }
        found |= {"StatusMessage": self.message} if self.message else {}
        return found | ({"EndTime": self.end} if self.end else {})


@attrs.define(eq=False, kw_only=True)
class Slot:
    """One instance of a group."""

    id: str
    zone: str
    subnet: str
    type: str
    template: Mapping[str, object]
    launch: Activity
    state: Lifecycle = "Pending"
    health: str = "Healthy"
    is_spot: bool = False
    protected: bool = False
    since: float = attrs.field(factory=time.monotonic)
    """When it came into service, or was launched."""
    passed: bool = False
    """Whether it need not wait at a lifecycle hook any more."""
    leaves_at: float | None = None
    """When its targets have drained, and it is terminated."""
    ending: Activity | None = None

    @property
    def is_alive(self) -> bool:
        """Return whether it counts for the group's size."""
        return self.state in {"Pending", "Pending:Wait", "InService"}

    @property
    def is_leaving(self) -> bool:
        """Return whether it is being terminated."""
        return self.state.startswith("Terminating")


@attrs.define(eq=False, kw_only=True)
class Group:
    """One Auto Scaling group."""

    account: str
    region: str
    name: str
    minimum: int
    maximum: int
    desired: int
    subnets: tuple[str, ...]
    zones: tuple[str, ...]
    template: Mapping[str, object]
    """As ``LaunchTemplateSpecification``: the version as it was asked for."""
    mixed: Mapping[str, object] | None = None
    health_type: str = "EC2"
    grace_s: int = 0
    cooldown_s: int = 300
    protects: bool = False
    policies_of_ending: tuple[str, ...] = ("Default",)
    tags: tuple[Mapping[str, object], ...] = ()
    targets: dict[str, str] = attrs.field(factory=dict)
    """Each target group's ARN, and whether it is Added or Removing."""
    suspended: dict[str, str] = attrs.field(factory=dict)
    policies: dict[str, dict[str, object]] = attrs.field(factory=dict)
    schedule: dict[str, dict[str, object]] = attrs.field(factory=dict)
    hooks: dict[str, dict[str, object]] = attrs.field(factory=dict)
    slots: list[Slot] = attrs.field(factory=list)
    activities: list[Activity] = attrs.field(factory=list)
    metrics: tuple[str, ...] = ()
    status: str = ""
    created: dt.datetime = attrs.field(factory=now)
    retry_at: float = 0.0
    """When a launch that failed is tried again."""
    failures: int = 0
    because: str = "a user request created or changed the group"
    """Why the group last changed its size."""

    @property
    def arn(self) -> str:
        """Return its ARN."""
        unique = uuid.uuid5(uuid.NAMESPACE_URL, f"{self.name}{self.created}")
        where = f"arn:aws:autoscaling:{self.region}:{self.account}"
        return f"{where}:autoScalingGroup:{unique}:autoScalingGroupName/{self.name}"

    @property
    def alive(self) -> list[Slot]:
        """Return the instances that count for its size."""
        return [slot for slot in self.slots if slot.is_alive]

    def runs(self, process: str) -> bool:
        """Return whether a process is not suspended."""
        return process not in self.suspended

    def note(self, description: str, cause: str) -> Activity:
        """Begin an activity."""
        activity = Activity(group=self.name, description=description, cause=cause)
        self.activities.insert(0, activity)
        return activity
