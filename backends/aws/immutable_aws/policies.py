"""The policies of IAM, for each kind of user: JSON made of `immutable_aws.grants`."""

import json
from collections.abc import Iterator

import attrs

from immutable_aws.grants import EVERYTHING, GRANTS, Grant, Role
from immutable_aws.partitions import partition_of

Statement = dict[str, str | list[str] | dict[str, dict[str, str | list[str]]]]


_OF_LISTENERS = ("listener", "beside", "balancer", "nobody")


@attrs.frozen(kw_only=True)
class _Where:
    """What ARNs are filled in with."""

    region: str
    account: str
    bucket: str | None
    key: str | None
    listeners: tuple[str, ...]

    @property
    def partition(self) -> str:
        return partition_of(self.region)

    def arns(self, pattern: str) -> Iterator[str]:
        """Yield the ARNs of a pattern: one, or those for each listener, or none."""
        known = attrs.asdict(self) | {"partition": self.partition}
        if any(f"{{{name}}}" in pattern and not known[name] for name in known):
            return
        if not any(f"{{{name}}}" in pattern for name in _OF_LISTENERS):
            yield pattern.format(**known)
            return
        for listener in self.listeners:
            yield pattern.format(**known, **_beside(listener))


def _beside(listener: str) -> dict[str, str]:
    """Return the ARNs that follow from a listener's, which begins with its balancer's."""
    service, _, rest = listener.partition(":listener/")
    above = rest.rpartition("/")[0]
    return {
        "listener": listener,
        "beside": f"{service}:listener/{above}",
        "balancer": f"{service}:loadbalancer/{above}",
        "nobody": f"{service}:targetgroup/*-nobody/*",
    }


def actions_of(role: Role) -> tuple[str, ...]:
    """Return every action that a role needs, sorted; those of options, too."""
    return tuple(sorted({a for g in GRANTS if role in g.roles for a in g.actions}))


def anywhere_of(role: Role) -> tuple[str, ...]:
    """Return the actions that a role needs on resources of any name, sorted.

    Who asks IAM about no resource in particular asks about ``*``, which no statement
    matches that names some: of these actions alone the answer means something.
    https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
    """
    found = (g for g in GRANTS if role in g.roles and g.on == EVERYTHING)
    return tuple(sorted({action for grant in found for action in grant.actions}))


def policy(
    role: Role,
    *,
    region: str,
    account: str,
    bucket: str | None = None,
    kms_key: str | None = None,
    listeners: tuple[str, ...] = (),
    instance_roles: tuple[str, ...] = (),
) -> str:
    """Return a policy of IAM as JSON: what the role needs, in one region, and no more.

    Args:
        role: ``read`` looks, ``recover`` finishes or undoes what others began, ``deploy``
            does all that, and ``build`` makes images.
        region: where; the partition follows from it.
        account: twelve digits.
        bucket: of the ledger and of builds; None: there is none.
        kms_key: the ARN of the key that encrypts the bucket; None: S3 has the key.
        listeners: ARNs of those that ``nlb://`` points.
        instance_roles: names of the roles that instances are given.
    """
    where = _Where(
        region=region,
        account=account,
        bucket=bucket,
        key=kms_key if bucket else None,
        listeners=listeners,
    )
    statements = [_statement(g, where) for g in GRANTS if role in g.roles]
    if instance_roles and role in {"deploy", "build"}:
        statements.append(_passing(where, instance_roles))
    document = {
        "Version": "2012-10-17",
        "Statement": [each for each in statements if each["Resource"]],
    }
    return json.dumps(document, indent=2)


def _statement(grant: Grant, where: _Where) -> Statement:
    made: Statement = {
        "Sid": grant.name,
        "Effect": "Allow",
        "Action": list(grant.actions),
        "Resource": list(
            dict.fromkeys(arn for each in grant.on for arn in where.arns(each))
        ),
    }
    rows = tuple(_conditions(grant, where.region))
    conditions = {
        operator: {key: value for of, key, value in rows if of == operator}
        for operator in sorted({row[0] for row in rows})
    }
    return made | {"Condition": conditions} if conditions else made


def _conditions(
    grant: Grant, region: str
) -> Iterator[tuple[str, str, str | list[str]]]:
    """Yield operators, keys and values; all of them must hold."""
    if grant.made:
        yield "Null", f"aws:RequestTag/{grant.key}", "false"
    if grant.tagged:
        yield "Null", f"aws:ResourceTag/{grant.key}", "false"
    if grant.keys:
        # without the second, DeleteTags of no tag, which means all of them, would pass
        yield "ForAllValues:StringLike", "aws:TagKeys", grant.keys
        yield "Null", "aws:TagKeys", "false"
    if grant.within:
        (service,) = {action.partition(":")[0] for action in grant.actions}
        yield "StringEquals", f"{service}:CreateAction", list(grant.within)
    if grant.regional and grant.on == EVERYTHING:
        yield "StringEquals", "aws:RequestedRegion", region


def _passing(where: _Where, roles: tuple[str, ...]) -> Statement:
    # in China EC2 is called otherwise, and by both names
    names = ["ec2.amazonaws.com"]
    if where.partition == "aws-cn":
        names.append("ec2.amazonaws.com.cn")
    arn = f"arn:{where.partition}:iam::{where.account}:role/"
    return {
        "Sid": "PassInstanceRoles",
        "Effect": "Allow",
        "Action": ["iam:PassRole"],
        "Resource": [f"{arn}{role}" for role in roles],
        "Condition": {"StringEquals": {"iam:PassedToService": names}},
    }
