"""What there really is, and how it differs from a model."""

from datetime import datetime
from itertools import takewhile

import attrs

import immutable
from immutable import HistoryLine, Service, Status
from immutable.model import FleetName, Health, InstanceId
from immutable.testing.servers import to_datetime
from immutable.testing.simulation import Simulation
from proofs.stateful.model import Line, Model, Side


class Sight:
    """Looks at one service of a simulation: by its public calls, and at the truth."""

    def __init__(self, sim: Simulation, service: Service) -> None:
        self._sim = sim
        self._service = service
        self.status: Status
        self.history: tuple[HistoryLine, ...] = ()

    def look(self) -> None:
        """Ask for status and history."""
        with self._sim:
            self.status = immutable.status(self._service)
            self.history = immutable.history(self._service)

    @property
    def now(self) -> datetime:
        """Return the time."""
        return to_datetime(self._sim.scheduler.now_us)

    @property
    def weights(self) -> dict[FleetName, int]:
        """Return where traffic really goes."""
        return dict(self._sim.cloud.switch(self._service.name).now.routing.weights)

    @property
    def served(self) -> set[int]:
        """Return the numbers of the releases that have traffic."""
        fleets = self._sim.cloud.fleets.now
        tags = (dict(fleets[name].tags) for name in self.weights)
        return {int(found["immutable-release"]) for found in tags}

    def fleet(self, role: str) -> FleetName | None:
        """Return the fleet that has this role by the ledger."""
        found = (line.name for line in self.status.fleets if line.role == role)
        return next(found, None)

    def servers(self) -> tuple[InstanceId, ...]:
        """Return every server that lives, in a fleet that the ledger keeps."""
        now_us, kept = (
            self._sim.scheduler.now_us,
            (self.fleet("live"), self.fleet("standby")),
        )
        fleets = self._sim.cloud.fleets.now
        return tuple(
            server.id
            for name in kept
            if name is not None and name in fleets
            for server in fleets[name].alive(now_us)
        )

    def is_ready(self) -> bool:
        """Return whether every member of the live fleet answers."""
        return set(self._health()) == {Health.READY}

    def is_whole(self) -> bool:
        """Return whether the live fleet has nothing to heal."""
        name, now_us = self.fleet("live"), self._sim.scheduler.now_us
        fleet = self._sim.cloud.fleets.now.get(name) if name else None
        size = next((f.size for f in self.status.fleets if f.role == "live"), 0)
        if fleet is None or Health.UNREADY in self._health():
            return False
        return len(fleet.alive(now_us)) == len(fleet.servers) == size

    def differences(self, model: Model, moved: int | None) -> list[str]:
        """Return in words how what is seen differs from a model.

        Args:
            model: what should be.
            moved: the share of the traffic that a person has moved to the standby.
        """
        found: list[tuple[object, object, str]] = [
            (_said(self._side("live")), _said(model.live), "live"),
            (*_parted(self._lines(), model.lines), "history"),
            (self.served, _served(model, moved), "traffic"),
        ]
        found.append((_said(self._side("standby")), _said(model.standby), "standby"))
        return [f"{what}: {a}, not {b}" for a, b, what in found if a != b]

    def aged(self, model: Model) -> Model:
        """Return the model without a standby whose time is over, once it is gone."""
        standby = model.standby
        if (
            standby is None
            or standby.until is None
            or self._side("standby") is not None
        ):
            return model
        over = self.now >= standby.until
        return attrs.evolve(model, standby=None) if over else model

    def _side(self, role: str) -> Side | None:
        line = next((f for f in self.status.fleets if f.role == role), None)
        if line is None:
            return None
        fleet = self._sim.cloud.fleets.now.get(line.name)
        image = fleet.spec.image.id if fleet else "gone"
        return Side(number=line.release, image=image, size=line.size)

    def _lines(self) -> tuple[Line, ...]:
        return tuple((h.verb, h.release, h.outcome) for h in self.history)

    def _health(self) -> list[Health]:
        name = self.fleet("live")
        if name is None:
            return []
        now_us = self._sim.scheduler.now_us
        probes = self._sim.cloud.probes(self._service.name, name, now_us)
        return [probe.health for probe in probes]


def _parted(found: tuple[Line, ...], wanted: tuple[Line, ...]) -> tuple[object, object]:
    """Return what is left of two histories when what they share has been taken away."""
    pairs = zip(found, wanted, strict=False)
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    return found[shared:], wanted[shared:]


def _served(model: Model, moved: int | None) -> set[int]:
    shares = {None: (model.live,), 0: (), 100: (model.standby,)}
    sides = shares.get(moved, (model.live, model.standby))
    return {side.number for side in sides if side}


def _said(side: Side | None) -> str:
    return f"v{side.number}, {side.size} of {side.image}" if side else "nothing"
