"""IAM's simulation of policies, which moto does not have."""

import fnmatch
import json
from collections.abc import Iterator, Mapping

from moto.iam.models import ManagedPolicy, Role, User, iam_backends

from emulators.aws.hooks import Call, handles, refuse

_ALLOWED, _DENIED, _NEVER = "allowed", "explicitDeny", "implicitDeny"
_NOBODY = ":user/moto"
"""Whom every access key belongs to, unless a user was made for it."""


@handles("iam", "SimulatePrincipalPolicy")
def simulate(call: Call) -> object:
    """Tell for each action whether the principal's policies allow it.

    Source: botocore, SimulatePrincipalPolicy, and IAM user guide, "Policy evaluation logic": an
    explicit deny counts before an allow, and what nobody allows is denied implicitly. Without
    ``ResourceArns`` the resource "defaults to * (all resources)", which a statement about some
    resources does not cover: such an action is answered as if nobody had mentioned it.
    Conditions, boundaries and the policies of groups and organisations are not evaluated: a
    statement with a condition is taken to apply. The emulator's own user may do everything,
    except what the setting ``denied`` has.
    """
    arn = call.params.text("PolicySourceArn")
    statements = list(_statements(call, arn))
    resources = call.params.texts("ResourceArns") or ("*",)
    denied = call.world.settings.denied.split()
    results = [
        {
            "EvalActionName": action,
            "EvalResourceName": resource,
            "EvalDecision": _DENIED
            if action in denied
            else _decide(statements, action, resource),
            "MatchedStatements": [],
            "MissingContextValues": [],
        }
        for action in call.params.texts("ActionNames")
        for resource in resources
    ]
    return {"EvaluationResults": results, "IsTruncated": False}


def _statements(call: Call, arn: str) -> Iterator[Mapping[str, object]]:
    if arn.endswith(_NOBODY):
        yield {"Effect": "Allow", "Action": "*", "Resource": "*"}
        return
    found = _principal(call, arn)
    managed = [_document(each) for each in found.managed_policies.values()]
    for document in [*found.policies.values(), *managed]:
        listed = json.loads(document)["Statement"]
        yield from listed if isinstance(listed, list) else [listed]


def _document(policy: ManagedPolicy) -> str:
    chosen = [each for each in policy.versions if each.is_default_version]
    return str(chosen[0].document)


def _principal(call: Call, arn: str) -> Role | User:
    backend = iam_backends[call.account]["aws"]
    everybody: list[Role | User] = [*backend.get_roles(), *backend.users.values()]
    for each in everybody:
        if each.arn == arn:
            return each
    raise refuse("NoSuchEntity", f"The principal {arn} cannot be found.")


def _decide(statements: list[Mapping[str, object]], action: str, resource: str) -> str:
    effects = {s["Effect"] for s in statements if _applies(s, action, resource)}
    if "Deny" in effects:
        return _DENIED
    return _ALLOWED if "Allow" in effects else _NEVER


def _applies(statement: Mapping[str, object], action: str, resource: str) -> bool:
    actions = _fits(statement.get("Action"), action.lower(), lower=True)
    if "NotAction" in statement:
        actions = not _fits(statement["NotAction"], action.lower(), lower=True)
    return actions and _fits(statement.get("Resource", "*"), resource, lower=False)


def _fits(patterns: object, text: str, *, lower: bool) -> bool:
    listed = patterns if isinstance(patterns, list) else [patterns]
    spelled = [str(each).lower() if lower else str(each) for each in listed if each]
    return any(fnmatch.fnmatchcase(text, each) for each in spelled)
