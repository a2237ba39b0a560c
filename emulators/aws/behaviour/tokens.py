"""Client tokens: the same call twice has one effect, and one answer."""

import json

from emulators.aws.hooks import Call, handles, refuse
from emulators.aws.params import Params
from emulators.aws.world import Remembered

_IGNORED = {"ClientToken", "DryRun"}


@handles(
    "ec2",
    "RunInstances",
    "CreateLaunchTemplate",
    "CreateLaunchTemplateVersion",
    "CopyImage",
)
def idempotent(call: Call) -> object:
    """Answer a repeated call as the first time, and a different one with an error.

    Source: EC2 API reference, "Ensuring idempotency": the same token with the same
    parameters gives the result of the first request again; with others,
    ``IdempotentParameterMismatch``. EC2 error codes: ``IdempotentInstanceTerminated``
    where the instance of the first request has been terminated. A failed call is not
    remembered. moto ignores tokens.
    """
    token = call.params.text("ClientToken")
    if not token or call.params.flag("DryRun"):
        return call.proceed()
    key = ((call.account, call.region), call.operation, token)
    fingerprint = _fingerprint(call.params)
    known = call.world.tokens.get(key)
    if known:
        return _again(call, known, fingerprint)
    before = set(call.world.instances)
    answer = call.proceed()
    launched = tuple(i for i in call.world.instances if i not in before)
    call.world.tokens[key] = Remembered(
        fingerprint=fingerprint,
        answer=answer,
        instances=launched if call.operation == "RunInstances" else (),
    )
    return answer


def _again(call: Call, known: Remembered, fingerprint: str) -> object:
    if known.fingerprint != fingerprint:
        message = (
            "The request uses the same client token as a previous, but non-identical "
            "request."
        )
        raise refuse("IdempotentParameterMismatch", message)
    states = [call.world.instances[each].state for each in known.instances]
    if states and all(state in {"shutting-down", "terminated"} for state in states):
        message = (
            "The client token of a previous request whose instance was terminated can "
            "not be used again."
        )
        raise refuse("IdempotentInstanceTerminated", message)
    return known.answer


def _fingerprint(params: Params) -> str:
    kept = {k: v for k, v in params.values.items() if k not in _IGNORED}
    return json.dumps(kept, sort_keys=True, default=str)
