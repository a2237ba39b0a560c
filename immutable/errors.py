"""Every error this library raises, in one tree.

ImmutableError
├── InvalidInput            an argument that can never work; raised before any effect
│   ├── UnknownScheme       no installed distribution answers to this URL scheme
│   ├── UnknownImage        the backend has no such image
│   ├── UnknownRelease      the ledger has no such release, or none to go back to
│   ├── Unsupported         the backend or switch lacks a capability that was asked for
│   └── MissingFiles        a recipe names files that are not there
├── BackendError            a provider said no, or said nothing
│   ├── Unavailable         the provider's service cannot be reached
│   ├── PermissionDenied    the provider, or the operating system, refuses us
│   ├── NotEnough           memory, disk, addresses or quota would not suffice
│   ├── Taken               a port, bridge or name is in use by someone else
│   ├── Conflict            the switch has moved since it was read; nothing was changed
│   ├── Ambiguous           the call may or may not have taken effect
│   └── BuildFailed         an image could not be built
├── LedgerError             the record of intents cannot be trusted or written
│   ├── SequenceTaken       somebody else appended first (compare-and-set lost)
│   ├── LedgerLocked        another process holds the file
│   ├── LedgerReadOnly      the file or its directory cannot be written
│   ├── LedgerTooNew        written by a newer version of this library
│   ├── RecordTooLong       more than any record may hold; nothing was written
│   └── NotALedger          the file is something else, or is damaged
├── VerificationFailed      an image's signed provenance is not what it has to be
└── DeploymentError         why a deployment did not go live
    ├── Refused             nothing was touched
    │   ├── Contention      another deployer holds the service
    │   ├── Drift           the switch is not what the ledger says
    │   ├── StalePlan       the world has moved since the plan was made
    │   └── Revoked         the image, or one that it was built upon, is revoked
    ├── Superseded          another deployer took over and went on
    ├── Cancelled           the caller asked to stop
    ├── Interrupted         the deployer died before the cutover
    ├── DeadlineExceeded    a wait ended by the engine's clock
    ├── NotReady            instances did not become ready
    ├── ValidationFailed    a validator said no, or could not decide in time
    └── RecoveryNeeded      something is left over; it is listed
"""

from typing import Self


class ImmutableError(Exception):
    """Say what happened, to what, and what to do about it.

    Args:
        message: what happened, to what.
        hint: what the reader can do; printed after the message.
        operation: the call that failed, for example ``"switch.write"``.
        resource: the name of the thing it was about.
        backend: the name of the backend or switch that spoke.
        retryable: whether the same call may succeed when repeated.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        operation: str = "",
        resource: str = "",
        backend: str = "",
        retryable: bool = False,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.operation = operation
        self.resource = resource
        self.backend = backend
        self.retryable = retryable

    def __str__(self) -> str:
        """Return the message and, when there is one, the hint."""
        return f"{self.message} — {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with every field: errors cross process boundaries."""
        return (_rebuild, (type(self), self.message, dict(self.__dict__)))

    @classmethod
    def _blank(cls, message: str) -> Self:
        error = cls.__new__(cls)
        Exception.__init__(error, message)
        return error


def _rebuild(
    kind: type[ImmutableError], message: str, fields: dict[str, object]
) -> ImmutableError:
    error = kind._blank(message)  # noqa: SLF001 - the tree's own constructor
    error.__dict__.update(fields)
    return error


class InvalidInput(ImmutableError, ValueError):
    """An argument that can never work."""


class UnknownScheme(InvalidInput):
    """No installed distribution answers to this URL scheme."""


class UnknownImage(InvalidInput):
    """The backend has no such image."""


class UnknownRelease(InvalidInput):
    """The ledger has no such release, or none to go back to."""


class Unsupported(InvalidInput):
    """The backend or switch lacks a capability that was asked for."""


class MissingFiles(InvalidInput):
    """A recipe names files that are not there."""


class BackendError(ImmutableError):
    """A provider said no, or said nothing."""


class Unavailable(BackendError):
    """The provider's service cannot be reached."""


class PermissionDenied(BackendError):
    """The provider, or the operating system, refuses us."""


class NotEnough(BackendError):
    """Memory, disk, addresses or quota would not suffice."""


class Taken(BackendError):
    """A port, bridge or name is in use by someone else."""


class Conflict(BackendError):
    """The switch has moved since it was read; nothing was changed."""


class Ambiguous(BackendError):
    """The call may or may not have taken effect; read back to know."""


class BuildFailed(BackendError):
    """An image could not be built."""


class LedgerError(ImmutableError):
    """The record of intents cannot be trusted or written."""


class SequenceTaken(LedgerError):
    """Somebody else appended first: the compare-and-set was lost."""


class LedgerLocked(LedgerError):
    """Another process holds the ledger."""


class LedgerReadOnly(LedgerError):
    """The ledger or its directory cannot be written."""


class LedgerTooNew(LedgerError):
    """The ledger was written by a newer version of this library."""


class RecordTooLong(LedgerError):
    """A record would be longer than any may be; nothing was written."""


class NotALedger(LedgerError):
    """The file is something else, or is damaged."""


class VerificationFailed(ImmutableError):
    """An image's signed provenance is missing, altered, or not by who has to sign it."""


class DeploymentError(ImmutableError):
    """Why a deployment did not go live."""


class Refused(DeploymentError):
    """Nothing was touched."""


class Contention(Refused):
    """Another deployer holds the service."""


class Drift(Refused):
    """The switch is not what the ledger says."""


class StalePlan(Refused):
    """The ledger or the switch has moved since the plan was made."""


class Revoked(Refused):
    """The image, or one that it was built upon, is revoked: nothing is launched from it."""


class Superseded(DeploymentError):
    """Another deployer took over and went on."""


class Cancelled(DeploymentError):
    """The caller asked to stop."""


class Interrupted(DeploymentError):
    """The deployer died before the cutover; what it did was taken back."""


class DeadlineExceeded(DeploymentError):
    """A wait ended by the engine's clock."""


class NotReady(DeploymentError):
    """Instances did not become ready."""


class ValidationFailed(DeploymentError):
    """A validator said no, or could not decide in time."""


class RecoveryNeeded(DeploymentError):
    """Something is left over, and is listed."""
