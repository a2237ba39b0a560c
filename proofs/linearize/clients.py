"""What clients do with the switch that they race for."""

from collections.abc import Callable, Iterator
from random import Random

import attrs

from immutable.errors import Ambiguous, Conflict, ImmutableError
from immutable.model import (
    FleetName,
    HealthCheck,
    LedgerId,
    Routing,
    SwitchView,
    Version,
)
from immutable.protocols import Switch

OPERATIONS = 40
SHARES = {
    "compare-and-set": (30, 60, 5, 5),
    "slot": (30, 70, 0, 0),
    "blind": (30, 70, 0, 0),
}
"""How often clients read, write, attach and detach: the last two where versions move."""
OWNER = LedgerId("linearize")
BLUE, GREEN, SPARE = FleetName("blue"), FleetName("green"), FleetName("spare")
HEALTH = HealthCheck(port=8080)


def routing(number: int) -> Routing:
    """Return a routing that no other number below 297 stands for."""
    weight = 1 + number % 99
    preview = (None, BLUE, GREEN)[number // 99 % 3]
    return Routing(weights={BLUE: weight, GREEN: 100 - weight}, preview=preview)


@attrs.define
class Client:
    """One that reads and writes a switch, and believes what it is told."""

    switch: Switch
    chance: Random
    known: Version
    numbers: Iterator[int]
    rest: Callable[[], None]
    in_doubt: bool = False

    def live(self, operations: int) -> None:
        """Make so many calls; whatever they end with, go on."""
        for _ in range(operations):
            self.rest()
            try:
                self.known = self._act()
                self.in_doubt = False
            except (Conflict, Ambiguous):
                self.in_doubt = self.chance.choice((True, True, True, False))
            except ImmutableError:
                continue

    def _act(self) -> Version:
        switch, known = self.switch, self.known
        acts: tuple[Callable[[], Version], ...] = (
            lambda: switch.read().version,
            lambda: switch.write(
                routing(next(self.numbers)), owner=OWNER, expected=known
            ),
            lambda: switch.attach(SPARE, health=HEALTH, owner=OWNER, expected=known),
            lambda: switch.detach(SPARE, owner=OWNER, expected=known),
        )
        if self.in_doubt:
            return acts[0]()
        (act,) = self.chance.choices(acts, SHARES[switch.capabilities.fencing])
        return act()


def set_up(switch: Switch) -> SwitchView:
    """Attach the fleets that writes name, and return how things then are."""
    for fleet in (BLUE, GREEN):
        version = switch.read().version
        switch.attach(fleet, health=HEALTH, owner=OWNER, expected=version)
    return switch.read()
