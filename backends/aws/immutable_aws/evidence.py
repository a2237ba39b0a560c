"""What is kept of instances before they are terminated."""

import logging
from collections.abc import Sequence

from immutable_aws.console import capture
from immutable_aws.group import Group, Seat
from immutable_aws.session import Aws

_SHARED = frozenset({"immutable-service", "immutable-ledger"})
_LOG = logging.getLogger("immutable.aws")


def keep(aws: Aws, group: Group, leaving: Sequence[Seat]) -> None:
    """Keep the consoles of a group's instances that are about to go, as far as it can be.

    What could not be kept holds nobody up, and is logged.
    """
    if not leaving:
        return
    lines = capture(
        aws,
        group.name,
        [seat.id for seat in leaving],
        unhealthy=[seat.id for seat in leaving if not seat.is_healthy],
        tags={key: value for key, value in group.tags if key in _SHARED},
    )
    for line in lines:
        _LOG.warning(line)
