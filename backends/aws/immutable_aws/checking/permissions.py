"""Whether we may do what a deployment will do, asked before it does any of it.

Two ways, neither complete: EC2's own dry run, which takes everything into account but
exists for EC2 alone, and the simulation of the caller's policies, which knows every action
but is no more than a guess. So the dry run refuses, and the simulation only warns.
"""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import attrs

from immutable.errors import ImmutableError
from immutable_aws.checking.identity import Caller
from immutable_aws.errors import code_of
from immutable_aws.session import Aws

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import (
        IamInstanceProfileSpecificationTypeDef,
        RunInstancesRequestTypeDef,
    )
    from mypy_boto3_iam.type_defs import ContextEntryTypeDef, EvaluationResultTypeDef

_WOULD_HAVE_WORKED = "DryRunOperation"
_ALLOWED, _FORBIDDEN = "allowed", "explicitDeny"
_NAMED = 5
_POLICIES = "docs/reference/aws-policies.md"
SIMULATED = {
    "aws:RequestTag/immutable-ledger": "simulated",
    "aws:ResourceTag/immutable-ledger": "simulated",
    "ec2:CreateAction": "RunInstances",
    "elasticloadbalancing:CreateAction": "CreateRule",
}
"""What IAM is told of the calls that it is asked about, beside the region."""


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

    Conditions are tried with the tags that this backend sets. Nothing is refused: IAM says
    itself that its simulation can differ from what it decides, and a policy of an
    organisation that has a condition was long taken to deny whatever it names
    (https://github.com/aws/aws-sdk/issues/102).

    Nor can everybody be simulated: not who may not ask, not a session of GetSessionToken,
    which may call IAM only with MFA, not a federated user, and not a role with a path, which
    its sessions do not tell.
    https://docs.aws.amazon.com/IAM/latest/APIReference/API_SimulatePrincipalPolicy.html
    https://docs.aws.amazon.com/STS/latest/APIReference/API_GetSessionToken.html

    Returns:
        At most three lines: what is denied, what seems not to be allowed, and what cannot
        be told.
    """
    if caller.principal is None:
        return ("these are the root user's credentials: make a role for deployments",)
    try:
        results = _simulated(aws, caller.principal, actions)
    except ImmutableError as exc:
        code = code_of(exc.__cause__ or exc)
        said = f"IAM could not be asked what {caller.arn} may do ({code})"
        return (f"{said}: compare its policy with {_POLICIES}",)
    return tuple(remarks(caller.principal, results))


def remarks(
    principal: str, results: Iterable["EvaluationResultTypeDef"]
) -> Iterator[str]:
    """Yield what a simulation comes to, a line for each kind of answer.

    Nothing is made of an answer that rests on what was not given to IAM
    (``MissingContextValues``: whether there was MFA, or from which address) or on an
    organisation's policies (``OrganizationsDecisionDetail``), but that it does.
    """
    denied = [each for each in results if each["EvalDecision"] != _ALLOWED]
    sure = [each for each in denied if not _is_unsure(each)]
    for line, found in (
        (
            "a policy denies {whom} {what}",
            [each for each in sure if each["EvalDecision"] == _FORBIDDEN],
        ),
        (
            "{whom} seems not to be allowed {what}",
            [each for each in sure if each["EvalDecision"] != _FORBIDDEN],
        ),
        (
            "IAM cannot tell beforehand whether {whom} may {what}",
            [each for each in denied if _is_unsure(each)],
        ),
    ):
        if found:
            names = sorted({each["EvalActionName"] for each in found})
            said = line.format(whom=principal, what=_listed(names))
            yield f"{said}: see {_POLICIES}"


def _is_unsure(result: "EvaluationResultTypeDef") -> bool:
    detail = result.get("OrganizationsDecisionDetail", {})
    allowed = detail.get("AllowedByOrganizations", True)
    return bool(result.get("MissingContextValues")) or not allowed


def _listed(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


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
    values = {"aws:RequestedRegion": aws.place.region, **SIMULATED}
    return [
        {
            "ContextKeyName": name,
            "ContextKeyType": "string",
            "ContextKeyValues": [value],
        }
        for name, value in values.items()
    ]
