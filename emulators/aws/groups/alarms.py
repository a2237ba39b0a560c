"""CloudWatch's alarms that name a group's policies."""

from collections.abc import Iterable, Iterator

from moto.cloudwatch.models import Alarm, cloudwatch_backends

from emulators.aws.groups.model import Group

_ACTIONS = ("alarm_actions", "ok_actions", "insufficient_data_actions")


def alarms_of(group: Group, policy: str) -> list[dict[str, object]]:
    """Return the alarms that name a policy, by its ARN.

    Source: botocore, ``ScalingPolicy.Alarms``: *"The CloudWatch alarms related to the
    policy."*
    """
    return [
        {"AlarmName": alarm.name, "AlarmARN": alarm.alarm_arn}
        for alarm in _naming(group, policy)
    ]


def forget_policies(group: Group, policies: Iterable[str]) -> None:
    """Take policies out of the actions of alarms, and delete alarms that have none left.

    Source: botocore, DeleteAutoScalingGroup: *"deleting the group deletes the policies, the
    underlying alarm actions, and any alarm that no longer has an associated action."*
    DeletePolicy does less: *"deletes the underlying alarm action, but does not delete the
    alarm"*, of a step or simple policy.
    """
    alarms = cloudwatch_backends[group.account][group.region].alarms
    for policy in policies:
        for alarm in list(_naming(group, policy)):
            drop_action(alarm, policy)
            if not any(getattr(alarm, kind) for kind in _ACTIONS):
                alarms.pop(alarm.name, None)


def drop_actions(group: Group, policy: str) -> None:
    """Take one policy out of the actions of alarms, which stay; see ``forget_policies``."""
    for alarm in list(_naming(group, policy)):
        drop_action(alarm, policy)


def drop_action(alarm: Alarm, policy: str) -> None:
    """Take a policy out of all actions of an alarm."""
    for kind in _ACTIONS:
        kept = [each for each in getattr(alarm, kind) or [] if each != policy]
        setattr(alarm, kind, kept)


def _naming(group: Group, policy: str) -> Iterator[Alarm]:
    for alarm in cloudwatch_backends[group.account][group.region].alarms.values():
        if any(policy in (getattr(alarm, kind) or []) for kind in _ACTIONS):
            yield alarm
