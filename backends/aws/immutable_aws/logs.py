"""What instances said: from CloudWatch Logs, and while they live from EC2's console."""

from functools import partial

import attrs

from immutable.errors import ImmutableError, InvalidInput
from immutable.model import FleetName, InstanceId, InstanceLog
from immutable_aws.errors import said
from immutable_aws.groups.instances import Instances
from immutable_aws.parallel import beside
from immutable_aws.session import Aws
from immutable_aws.watching import journal
from immutable_aws.watching.console import read_console
from immutable_aws.watching.log_groups import (
    CONSOLE,
    JOURNAL,
    group_of,
    kept,
    stream_of,
)
from immutable_aws.watching.readable import ending, harmless

_GONE = "InvalidInstanceID.NotFound"


@attrs.frozen(kw_only=True)
class AwsLogs:
    """The console and the journal of each instance: `immutable.protocols.Logs`.

    The journal is what the agent of `immutable_aws.agent` sent, if the image has one. The
    console is asked for while the instance lives, and is what was kept afterwards.
    """

    aws: Aws
    instances: Instances

    def read(self, fleet: FleetName, *, tail_bytes: int) -> tuple[InstanceLog, ...]:
        """Return the end of each instance's console and journal, in order of id.

        Costs two readings for the fleet, by pages, and two for each instance: its journal
        (more where that is longer than a page) and its console.

        Args:
            fleet: which may be long gone.
            tail_bytes: at most so many of each.

        Raises:
            InvalidInput: the number is negative.
            ImmutableError: the logs cannot be read.
        """
        if tail_bytes < 0:
            raise InvalidInput(f"tail_bytes={tail_bytes}", hint="give 0 or more")
        group = group_of(fleet)
        if group is None:
            return ()
        streams = kept(self.aws, group, fleet)
        alive = [i for i, f in self.instances.read(fleet).items() if not f.is_over]
        calls = [
            partial(
                self._log,
                group,
                fleet,
                instance,
                kinds=streams.get(instance, frozenset()),
                alive=instance in alive,
                limit=tail_bytes,
            )
            for instance in sorted({*streams, *alive})
        ]
        return beside(calls, what=group)

    def _log(
        self,
        group: str,
        fleet: FleetName,
        instance: InstanceId,
        *,
        kinds: frozenset[str],
        alive: bool,
        limit: int,
    ) -> InstanceLog:
        entries = console = ""
        if JOURNAL in kinds and limit:
            name = stream_of(fleet, instance, JOURNAL)
            entries = journal.tail(self.aws, group, name, limit)
        if alive and limit:
            console = self._console(instance)
        if not console and CONSOLE in kinds and limit:
            name = stream_of(fleet, instance, CONSOLE)
            console = journal.newest(self.aws, group, name)
        return InstanceLog(
            instance=instance,
            fleet=fleet,
            console=ending(console, limit),
            journal=entries,
        )

    def _console(self, instance: InstanceId) -> str:
        try:
            return harmless(read_console(self.aws, instance))
        except ImmutableError as exc:
            # it may go between two readings, or not be known everywhere yet
            if said(exc) == _GONE:
                return ""
            raise
