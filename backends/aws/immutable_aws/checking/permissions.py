"""Whether we may do what a deployment will do, asked before it does any of it.

Two ways, neither complete: EC2's own dry run, which takes everything into account but
exists for EC2 alone, and the simulation of the caller's policies, which knows every action
but neither service control policies nor what a session was restricted to.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import attrs

from immutable.errors import BackendError, ImmutableError, PermissionDenied
from immutable_aws.checking.identity import Caller
from immutable_aws.errors import NAME, code_of
from immutable_aws.session import Aws

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import (
        IamInstanceProfileSpecificationTypeDef,
        RunInstancesRequestTypeDef,
    )
    from mypy_boto3_iam.type_defs import ContextEntryTypeDef, EvaluationResultTypeDef

_WOULD_HAVE_WORKED = "DryRunOperation"
_CANNOT_ASK = frozenset({"AccessDenied", "AccessDeniedException", "NoSuchEntity"})
_POLICIES = "docs/reference/aws-policies.md"


@attrs.frozen(kw_only=True)
class Sample:
    """One instance, as a fleet would launch it."""

    image: str
    instance_type: str
    subnet: str
    security_groups: tuple[str, ...]
    instance_profile: str | None


def check_launch(aws: Aws, sample: Sample) -> None:
    """Have EC2 say whether such an instance could be launched; nothing is.

    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_RunInstances.html, DryRun

    Raises:
        PermissionDenied: we may not.
        BackendError: image, type, subnet and groups do not fit together.
    """
    try:
        aws.read("ec2.RunInstances", sample.image, lambda: _dry_run(aws, sample))
    except ImmutableError as exc:
        if code_of(exc.__cause__ or exc) != _WOULD_HAVE_WORKED:
            raise


def simulate(aws: Aws, caller: Caller, actions: tuple[str, ...]) -> tuple[str, ...]:
    """Have IAM say which actions the caller's policies allow; warn of the others.

    Conditions are tried with the tags that this backend sets.

    Raises:
        PermissionDenied: a policy denies an action explicitly.
    """
    if caller.principal is None:
        return ("these are the root user's credentials: make a role for deployments",)
    try:
        results = _simulated(aws, caller.principal, actions)
    except BackendError as exc:
        if code_of(exc.__cause__ or exc) in _CANNOT_ASK:
            return ()
        raise
    denied = {
        r["EvalActionName"] for r in results if r["EvalDecision"] == "explicitDeny"
    }
    if denied:
        raise PermissionDenied(
            f"a policy denies {caller.principal} {', '.join(sorted(denied))}",
            hint=f"compare it with {_POLICIES}",
            operation="iam.SimulatePrincipalPolicy",
            backend=NAME,
        )
    return tuple(_warnings(caller, results))


def _warnings(
    caller: Caller, results: list["EvaluationResultTypeDef"]
) -> Iterator[str]:
    missing = sorted(
        {r["EvalActionName"] for r in results if r["EvalDecision"] == "implicitDeny"}
    )
    if missing:
        names = ", ".join(missing)
        yield f"{caller.principal} seems not to be allowed {names}: see {_POLICIES}"


def _dry_run(aws: Aws, sample: Sample) -> None:
    request: RunInstancesRequestTypeDef = {
        "DryRun": True,
        "MinCount": 1,
        "MaxCount": 1,
        "ImageId": sample.image,
        "InstanceType": sample.instance_type,  # type: ignore[typeddict-item] # any name is tried
        "SubnetId": sample.subnet,
        "SecurityGroupIds": list(sample.security_groups),
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 1},
    }
    if profile := sample.instance_profile:
        named: IamInstanceProfileSpecificationTypeDef = (
            {"Arn": profile} if profile.startswith("arn:") else {"Name": profile}
        )
        request["IamInstanceProfile"] = named
    aws.reads.ec2.run_instances(**request)


def _simulated(
    aws: Aws, principal: str, actions: tuple[str, ...]
) -> list["EvaluationResultTypeDef"]:
    def pages() -> list["EvaluationResultTypeDef"]:
        paginator = aws.reads.iam.get_paginator("simulate_principal_policy")
        asked = paginator.paginate(
            PolicySourceArn=principal,
            ActionNames=list(actions),
            ContextEntries=_context(aws),
        )
        return [result for page in asked for result in page["EvaluationResults"]]

    return aws.read("iam.SimulatePrincipalPolicy", principal, pages)


def _context(aws: Aws) -> list["ContextEntryTypeDef"]:
    values = {
        "aws:RequestedRegion": aws.place.region,
        "aws:RequestTag/immutable-ledger": "simulated",
        "aws:ResourceTag/immutable-ledger": "simulated",
        "iam:PassedToService": "ec2.amazonaws.com",
    }
    return [
        {
            "ContextKeyName": name,
            "ContextKeyType": "string",
            "ContextKeyValues": [value],
        }
        for name, value in values.items()
    ]
