"""Ending what builders and images leave at EC2: again and again the same, and gone is well."""

from collections.abc import Callable, Iterable
from datetime import timedelta
from functools import partial
from typing import TypeVar

from immutable import host
from immutable.errors import Ambiguous, ImmutableError
from immutable.host import Never
from immutable.retrying import retrying
from immutable_aws.amis import catalog
from immutable_aws.amis.ami import Ami
from immutable_aws.errors import said
from immutable_aws.session import Aws

_GONE = frozenset(
    {
        "InvalidAMIID.NotFound",
        "InvalidAMIID.Unavailable",
        "InvalidInstanceID.NotFound",
        "InvalidSnapshot.NotFound",
        "InvalidVolume.NotFound",
    }
)
_IN_USE = "InvalidSnapshot.InUse"
_DONE = frozenset({"success", "skipped"})
_LOOK = timedelta(seconds=1)
_T = TypeVar("_T")


def end(
    aws: Aws,
    operation: str,
    name: str,
    call: Callable[[], _T],
    *,
    patience: timedelta = timedelta(),
) -> _T | None:
    """Return what a call that ends something returns; None: there was nothing to end.

    Args:
        aws: where.
        operation: as AWS names it.
        name: what is to end.
        call: ends it, however often it is made.
        patience: for so long "not found" is not believed. What was made a moment ago need
            not be known everywhere:
            https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html
    """
    here = host.current()
    until = here.now() + patience
    while True:
        try:
            return retrying(
                lambda: aws.change(operation, name, call), host=here, also=(Ambiguous,)
            )
        except ImmutableError as exc:
            if said(exc) not in _GONE:
                raise
        if (left := until - here.now()) <= timedelta():
            return None
        here.sleep(min(_LOOK, left), Never())


def discard(aws: Aws, ami: Ami) -> None:
    """Deregister an image with its snapshots; one that is gone is no error.

    EC2 deregisters it whatever becomes of the snapshots, and says that of each: see
    ``DeleteSnapshotResults`` of
    https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DeregisterImage.html
    What it has left, or where its answer was lost, is deleted by calls of its own.

    Raises:
        ImmutableError: why snapshots are left; the hint names them.
    """
    ec2 = aws.changes.ec2
    answer = end(
        aws,
        "ec2.DeregisterImage",
        ami.id,
        lambda: ec2.deregister_image(ImageId=ami.id, DeleteAssociatedSnapshots=True),
    )
    left: Iterable[str] = ami.snapshots
    if answer is not None:
        left = [
            each.get("SnapshotId", "")
            for each in answer.get("DeleteSnapshotResults", [])
            if each.get("ReturnCode") not in _DONE
        ]
    delete_snapshots(aws, left, of=ami.id)


def delete_snapshots(
    aws: Aws, names: Iterable[str], *, of: str = ""
) -> tuple[str, ...]:
    """Delete those of these snapshots that no image of the account needs; return which.

    Args:
        aws: where.
        names: which.
        of: the image that they were of, which is deregistered.

    Raises:
        ImmutableError: why some are left; the hint names them.
    """
    deleted, failed = list[str](), dict[str, ImmutableError]()
    for name in _unneeded(aws, names, of):
        try:
            if _delete_snapshot(aws, name):
                deleted.append(name)
        except ImmutableError as exc:
            failed[name] = exc
    for error in failed.values():
        ids = " ".join(failed)
        error.hint = (
            f"{of or 'its image'} is deregistered, and {ids} still costs: allow "
            "ec2:DeleteSnapshot, and for each run: aws ec2 delete-snapshot --snapshot-id …"
        )
        raise error
    return tuple(deleted)


def _unneeded(aws: Aws, names: Iterable[str], gone: str) -> list[str]:
    """Return the snapshots that no other image of the account is made of."""
    wanted = sorted(set(names))
    if not wanted:
        return []
    needed = {
        snapshot
        for ami in catalog.listed(aws, "snapshots", [], (catalog.OWN,))
        if ami.id != gone and ami.state != "deregistered"
        for snapshot in ami.snapshots
    }
    return [name for name in wanted if name not in needed]


def _delete_snapshot(aws: Aws, name: str) -> bool:
    """Delete a snapshot, unless an image needs it, which EC2 refuses; return whether."""
    deleting = partial(aws.changes.ec2.delete_snapshot, SnapshotId=name)
    try:
        end(aws, "ec2.DeleteSnapshot", name, deleting)
    except ImmutableError as exc:
        if said(exc) != _IN_USE:
            raise
        return False
    return True
