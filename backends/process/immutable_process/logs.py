"""What instances said, in files that stay when they are gone."""

from pathlib import Path

import attrs

from immutable.model import FleetName, InstanceId, InstanceLog
from immutable_process.errors import doing
from immutable_process.store import entry


@attrs.frozen(kw_only=True)
class ProcessLogs:
    """`immutable.protocols.Logs`: standard output and error, as the journal."""

    directory: Path

    def read(self, fleet: FleetName, *, tail_bytes: int) -> tuple[InstanceLog, ...]:
        """Return the end of each instance's log, in order of id."""
        with doing(operation="logs.read", resource=fleet, changes=False):
            paths = sorted(entry(self.directory, fleet).glob("*.log"))
            return tuple(_log(path, fleet, tail_bytes) for path in paths)


def _log(path: Path, fleet: FleetName, size: int) -> InstanceLog:
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, 2) - size))
        said = file.read(size).decode(errors="replace")
    # a terminal would obey control characters, and the process chose them
    text = "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in said)
    name = InstanceId(path.stem)
    return InstanceLog(instance=name, fleet=fleet, console="", journal=text)
