"""The calls that the machine makes, each with what it should come to."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial

import attrs

import immutable
from immutable import Deployment, Image, Outcome, Plan, Service
from immutable.errors import UnknownRelease
from immutable.strategies import BlueGreen, Canary, Strategy
from immutable.testing.servers import Route
from immutable.testing.simulation import Simulation
from proofs.stateful import model as expected
from proofs.stateful.model import KEPT, Future, Model, Wish

BLUE_GREEN = BlueGreen(bake=timedelta(milliseconds=300), keep_warm=KEPT)
CANARY = Canary(
    steps=(10, 50),
    hold=timedelta(milliseconds=200),
    bake=timedelta(milliseconds=200),
    keep_warm=KEPT,
)
FATES = ("good", "good", "good", "silent", "mistaken", "rejected", "reverted")
"""How an image turns out: the silent one never answers, the mistaken one boots another
release, the rejected one fails validation before and the reverted one under traffic."""
_REJECTED: dict[str, Route] = {"rejected": "preview", "reverted": "live"}


@attrs.frozen(kw_only=True)
class Deed:
    """One call, and how it ends when it began with a model and ends at a time."""

    call: Callable[[], Deployment]
    future: Callable[[Model, datetime], Future]


class Deeds:
    """Calls on one service; none is made before it is asked for."""

    def __init__(self, sim: Simulation, service: Service) -> None:
        self._sim = sim
        self._service = service
        self._made: dict[str, Image] = {}

    def image(self, fate: str) -> str:
        """Put an image into the world that will turn out so, and return its name."""
        name = f"{fate}-{len(self._made) + 1}"
        self._made[name] = self._sim.image(
            name,
            boots_in="50ms",
            ready=fate != "silent",
            wrong_digest=fate == "mistaken",
            rejected=_REJECTED.get(fate),
        )
        return name

    def wish(self, fate: str, size: int | None) -> Wish:
        """Return what a deploy of a new image asks for."""
        return Wish(image=self.image(fate), size=size, good=fate == "good")

    def deploy(self, wish: Wish, strategy: Strategy) -> Deed:
        """Deploy an image."""
        image = self._made[wish.image]
        return Deed(
            call=lambda: immutable.deploy(
                self._service, image, size=wish.size, strategy=strategy
            ),
            future=lambda m, now: expected.deploy(m, wish, now=now),
        )

    def plan(self, wish: Wish) -> Plan:
        """Return the plan of a deploy."""
        image = self._made[wish.image]
        return immutable.plan(self._service, image, size=wish.size)

    def deploy_plan(self, plan: Plan, wish: Wish) -> Deed:
        """Deploy a plan that was made for a wish, and that still holds."""
        return Deed(
            call=lambda: immutable.deploy(plan),
            future=lambda m, now: expected.deploy(m, wish, now=now),
        )

    def deploy_stale(self, plan: Plan) -> Deed:
        """Deploy a plan that holds no more."""
        return refused(lambda: immutable.deploy(plan))

    def deploy_again(self, image: str, size: int | None) -> Deed:
        """Deploy what is live already."""
        return Deed(
            call=lambda: immutable.deploy(self._service, self._made[image], size=size),
            future=lambda m, _: expected.deploy_again(m, size),
        )

    def rollback(self, to: int | None, size: int | None) -> Deed:
        """Go back."""
        return Deed(
            call=lambda: immutable.rollback(self._service, to=to, size=size),
            future=lambda m, now: expected.rollback(m, to, size, now=now),
        )

    def scale(self, size: int) -> Deed:
        """Change the size."""
        return Deed(
            call=lambda: immutable.scale(self._service, size),
            future=lambda m, _: expected.scale(m, size),
        )

    def heal(self, *, whole: bool) -> Deed:
        """Replace what has died."""
        return Deed(
            call=lambda: immutable.heal(self._service),
            future=lambda m, _: expected.heal(m, whole=whole),
        )

    def sweep(self) -> Deed:
        """Look for what nobody answers for: there is nothing."""
        return _still(lambda: immutable.sweep(self._service))

    def recover(self) -> Deed:
        """Finish what was left: nothing was."""
        return _still(lambda: immutable.recover(self._service))

    def destroy(self, *, empty: bool) -> Deed:
        """End the service."""
        return Deed(
            call=lambda: immutable.destroy(self._service),
            future=lambda m, _: expected.destroy(m, empty=empty),
        )

    def keep(self) -> Deed:
        """Accept what the switch does, when it does what it should."""
        return _still(lambda: immutable.adopt(self._service))

    def adopt(self, number: int | None) -> Deed:
        """Accept what a person has moved all traffic to; None: none is served."""
        return Deed(
            call=lambda: immutable.adopt(self._service),
            future=lambda m, now: expected.adopt(m, number, now=now),
        )

    def adopt_both(self) -> Deed:
        """Accept traffic that is split, without saying which side is to have it."""
        return refused(lambda: immutable.adopt(self._service))

    def adopt_live(self, fleet: str, *, ready: bool) -> Deed:
        """Accept traffic that is split, and give all of it to the live fleet."""
        outcome = Outcome.LIVE if ready else Outcome.ROLLED_BACK
        line = ("adopt", None, outcome)
        return Deed(
            call=lambda: immutable.adopt(self._service, fleet=fleet),
            future=lambda m, _: Future(outcome=outcome, model=m.say(line)),
        )


def outcome_of(call: Callable[[], Deployment]) -> Deployment | None:
    """Make a call; None: it knew no such release."""
    try:
        return call()
    except UnknownRelease:
        return None


def refused(call: Callable[[], Deployment]) -> Deed:
    """Return a call that is refused, and changes nothing."""
    future = partial(Future, outcome=Outcome.REFUSED)
    return Deed(call=call, future=lambda m, _: future(model=m))


def _still(call: Callable[[], Deployment]) -> Deed:
    future = partial(Future, outcome=Outcome.LIVE)
    return Deed(call=call, future=lambda m, _: future(model=m))
