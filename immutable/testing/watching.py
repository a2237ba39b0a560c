"""Who is shown every change of the truth, in the instant in which it happens."""

from typing import Protocol

import attrs

from immutable.model import FleetName
from immutable.testing.calls import Request
from immutable.testing.registers import Register
from immutable.testing.servers import Fleet


class Watch(Protocol):
    """Judges changes; raises what it finds wrong with them."""

    def sent(self, request: Request) -> None:
        """Judge an effect that is asked for, before it is sent."""
        ...

    def fleet_changed(
        self,
        request: Request,
        name: FleetName,
        before: Fleet | None,
        after: Fleet | None,
    ) -> None:
        """Judge a fleet that was made, changed or ended."""
        ...

    def switch_changed(
        self, request: Request, service: str, before: Register, after: Register
    ) -> None:
        """Judge what a switch holds now."""
        ...

    def appended(
        self, request: Request, stream: str, sequence: int, record: bytes
    ) -> None:
        """Judge a record that the ledger has now."""
        ...


@attrs.frozen
class Unwatched:
    """Judges nothing."""

    def sent(self, request: Request) -> None:
        """Let it pass."""

    def fleet_changed(
        self,
        request: Request,
        name: FleetName,
        before: Fleet | None,
        after: Fleet | None,
    ) -> None:
        """Let it pass."""

    def switch_changed(
        self, request: Request, service: str, before: Register, after: Register
    ) -> None:
        """Let it pass."""

    def appended(
        self, request: Request, stream: str, sequence: int, record: bytes
    ) -> None:
        """Let it pass."""
