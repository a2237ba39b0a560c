"""Errors as values for the ledger, and back."""

from immutable import errors
from immutable.deploying.facts import Reason

_LIMIT = 1000


def reason_of(error: BaseException) -> Reason:
    """Return an error in the form that the ledger can keep."""
    if isinstance(error, errors.ImmutableError):
        kind = type(error).__name__
        return Reason(
            kind=kind, message=error.message[:_LIMIT], hint=error.hint[:_LIMIT]
        )
    message = f"{type(error).__name__}: {error}"
    return Reason(kind="Ambiguous", message=message[:_LIMIT])


def error_of(reason: Reason) -> errors.ImmutableError:
    """Return the error that a reason was made from, without its cause."""
    kind = getattr(errors, reason.kind, errors.DeploymentError)
    known = isinstance(kind, type) and issubclass(kind, errors.ImmutableError)
    error: errors.ImmutableError = (kind if known else errors.DeploymentError)(
        reason.message, hint=reason.hint
    )
    return error
