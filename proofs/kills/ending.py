"""How a world ends, and whether that is one of the ends that it may have."""

import attrs

import immutable
from immutable.model import FleetName
from immutable.testing.servers import Fleet
from immutable.testing.settling import settle
from proofs.kills.stage import Stage


class Broken(AssertionError):
    """What was promised did not come true."""


@attrs.frozen(kw_only=True, order=True)
class Remains:
    """A fleet as it is left: what it runs, where it is found, what has it traffic."""

    image: str
    status: str
    """What the ledger says of it, or that it does not know it."""
    alive: int
    dead: int
    placed: bool
    weight: int
    held: str = ""
    """Whether its provider may change it, where it does so by itself."""

    def __str__(self) -> str:
        """Return it in a few words."""
        place = f"{self.weight} %" if self.placed else "no place"
        said = f"{self.image}: {self.status}, {self.alive} alive, {self.dead} dead"
        return f"{said}, {place}{self.held}"


@attrs.frozen
class End:
    """Everything that is there, and that the ledger or the switch believes in.

    Names and versions differ from run to run, so they are left out.
    """

    remains: tuple[Remains, ...]
    is_open: bool = False
    """A deployment has not ended."""
    previewed: bool = False

    def __str__(self) -> str:
        """Return it in one line."""
        said = "; ".join(map(str, self.remains)) or "nothing"
        return f"{said}{' (open)' * self.is_open}{' (previewed)' * self.previewed}"


@attrs.frozen(kw_only=True)
class Allowed:
    """The two ends: as if the call had never been, and as if nobody had died."""

    before: End
    after: End

    def judge(self, end: End, *, decided: bool | None) -> None:
        """Check an end.

        Args:
            end: what there is.
            decided: whether the call must have been brought to its end; None: what
                decides was in flight, and either will do, but wholly.

        Raises:
            Broken: it is not what it must be.
        """
        wanted = [self.before] * (decided is not True)
        wanted += [self.after] * (decided is not False)
        if end not in wanted:
            ends = " or ".join(map(str, wanted))
            raise Broken(f"there is {end}, and not {ends}")


def come_to_rest(stage: Stage) -> End:
    """Let everything settle under the oracles, and return what is left.

    Raises:
        Violation: something is left over, or it does not come to rest.
    """
    settle(stage.sim, stage.service)
    return end_of(stage)


def end_of(stage: Stage) -> End:
    """Return what there is now: in the cloud, at the switch, and in the ledger."""
    names = {*stage.sim.cloud.fleets.now, *(entry.name for entry in stage.state.fleets)}
    names.update(place.fleet for place in stage.register.places)
    return End(
        tuple(sorted(_remains(stage, name) for name in names)),
        is_open=stage.state.attempt is not None,
        previewed=stage.register.routing.preview is not None,
    )


def _remains(stage: Stage, name: FleetName) -> Remains:
    fleet = stage.sim.cloud.fleets.now.get(name)
    entry = stage.state.fleet(name)
    alive = len(fleet.alive(stage.sim.cloud.now_us)) if fleet else 0
    return Remains(
        image=fleet.spec.image.id if fleet else "no servers",
        status=entry.status if entry else "unknown",
        alive=alive,
        dead=len(fleet.servers) - alive if fleet else 0,
        placed=stage.register.place_of(name) is not None,
        weight=stage.register.routing.weight_of(name),
        held=_held(fleet),
    )


def _held(fleet: Fleet | None) -> str:
    if fleet is None or fleet.group is None:
        return ""
    return ", frozen" if fleet.group.frozen else ", thawed"


def check_repeated(stage: Stage) -> None:
    """Check that recovering once more changes nothing.

    Raises:
        Broken: it does.
    """
    before = stage.truth()
    immutable.recover(stage.service)
    if stage.truth() != before:
        raise Broken("recover() after recover() has changed something")
