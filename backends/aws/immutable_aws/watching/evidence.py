"""What is kept of instances: while they live, and before they are terminated."""

import logging
from collections.abc import Iterable, Sequence

from immutable.model import FleetSpec
from immutable_aws.groups.group import Group, Seat
from immutable_aws.session import Aws
from immutable_aws.tagging import shared
from immutable_aws.watching.console import capture
from immutable_aws.watching.log_groups import prepare

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
        tags=shared(group.tags),
    )
    _say(lines)


def prepare_logs(aws: Aws, spec: FleetSpec) -> None:
    """Make the log group that the instances of a fleet write to, as far as it can be."""
    _say(prepare(aws, spec.name, shared(spec.tags.to_mapping().items())))


def _say(lines: Iterable[str]) -> None:
    for line in lines:
        _LOG.warning(line)
