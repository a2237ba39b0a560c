"""Hypothesis drives the public calls in a simulated cloud, and compares with the model."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from immutable import Deployment, Outcome
from immutable.errors import Contention, Drift, StalePlan
from immutable.strategies import Strategy
from immutable.testing.faults import Fault, Script
from immutable.testing.people import route
from immutable.testing.provider import Provider
from immutable.testing.registers import KINDS, Kind
from immutable.testing.scheduling import Killed
from immutable.testing.settling import settle
from immutable.testing.simulation import Simulation
from proofs.stateful.deeds import BLUE_GREEN, CANARY, FATES, Deed, Deeds, outcome_of
from proofs.stateful.model import SIZE, Model, torn
from proofs.stateful.seeing import Sight

NAME = "shop"
LEASE = timedelta(minutes=15)
"""After so long nobody's lease lasts."""
POINTS = {
    "deploy": 110,
    "canary": 150,
    "reverted": 110,
    "rollback": 90,
    "scale": 40,
    "destroy": 60,
}
"""So many crash points these calls have, about."""
VERBS = ("deploy", "canary", "reverted", "rollback", "scale")
OUTAGES = ("switch.*", "ledger.*", "*")
SIZES = st.integers(1, 3)
"""No more, because a fleet on its way may lose at most three instances."""
CHAPTER = 6
"""A service ends only after so many calls."""
HALF = 50
UNDETERRED = frozenset({"recover", "adopt", "adopt both", "adopt one"})
"""Calls that a drift does not stop."""
STRATEGIES = st.sampled_from((BLUE_GREEN, CANARY))
EVERY = (
    *(
        f"deploy {fate}"
        for fate in (*dict.fromkeys(FATES), "again", "planned", "stale")
    ),
    *("rollback", "scale", "heal", "sweep", "recover", "destroy", "rest"),
    *("moved", "moved back", "adopt", "adopt both", "adopt one", "adopt nothing"),
    *(f"crash in {verb}" for verb in POINTS),
    *(f"{what} {verb}" for verb in VERBS for what in ("robbed of", "outage in")),
)
"""Everything that can run, beside what happens of itself."""
ran: Counter[str] = Counter()
"""How often each rule ran, and how many examples there were."""


class Disagreement(AssertionError):
    """What there is, is not what there should be."""


class Deployer(RuleBasedStateMachine):
    """One service, whoever works on it, and all that may be believed of it."""

    def __init__(self) -> None:
        super().__init__()
        self.models: tuple[Model, ...] = (Model(),)
        """What there may be; one, unless something was cut short."""
        self.open = False
        """Something was cut short, and nobody has finished it yet."""
        self.drifted: int | None = None
        """The share of the traffic that a person has moved to the standby; 0: and none
        to the live fleet. None: nobody has."""
        self.rivals = 0

    @initialize(
        seed=st.integers(0, 1 << 32),
        kind=st.sampled_from(KINDS),
        traits=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    )
    def begin(self, seed: int, kind: Kind, traits: tuple[bool, bool, bool]) -> None:
        """Make an empty world."""
        ran["examples"] += 1
        binds, counts, guards = traits
        provider = Provider(
            switch=kind, launch_binds=binds, counts=counts, guards_deletion=guards
        )
        self.sim = Simulation(seed, provider=provider)
        self.service = self.sim.service(
            NAME, size=SIZE, strategy=BLUE_GREEN, ready_timeout="3s", drain="0s"
        )
        self.deeds = Deeds(self.sim, self.service)
        self.sight = Sight(self.sim, self.service)
        self.sight.look()

    @rule(fate=st.sampled_from(FATES), size=st.none() | SIZES, by=STRATEGIES)
    def deploy(self, fate: str, size: int | None, by: Strategy) -> None:
        """Deploy a new image, good or bad, at once or by steps."""
        deed = self.deeds.deploy(self.deeds.wish(fate, size), by)
        self._do(f"deploy {fate}", deed)

    @precondition(lambda self: not self.open and self._known.live)
    @rule(size=st.none() | SIZES)
    def deploy_again(self, size: int | None) -> None:
        """Deploy what is live already."""
        live = self._known.live
        image = live.image if live else ""
        self._do("deploy again", self.deeds.deploy_again(image, size))

    @precondition(lambda self: self._is_calm)
    @rule(size=st.none() | SIZES, stale=st.booleans())
    def deploy_planned(self, size: int | None, *, stale: bool) -> None:
        """Plan, and deploy the plan, at once or when it holds no more."""
        wish = self.deeds.wish("good", size)
        with self.sim:
            plan = self.deeds.plan(wish)
        self._compare()
        live = self._known.live
        wanted = self._known.following, wish.size or max(SIZE, live.size if live else 0)
        expect((plan.release.number, plan.size), wanted, "the plan")
        if not stale:
            self._do("deploy planned", self.deeds.deploy_plan(plan, wish))
            return
        self._do("deploy good", self._deed("deploy"))
        self._compare()
        done = self._do("deploy stale", self.deeds.deploy_stale(plan))
        expect(type(done and done.error), StalePlan, "the stale plan's error")

    @rule(pick=st.none() | st.integers(0, 9), size=st.none() | SIZES)
    def rollback(self, pick: int | None, size: int | None) -> None:
        """Go back, by default or to some release."""
        self._do("rollback", self.deeds.rollback(self._picked(pick), size))

    @rule(size=SIZES)
    def scale(self, size: int) -> None:
        """Change the size."""
        self._do("scale", self.deeds.scale(size))

    @rule(verb=st.sampled_from(("heal", "sweep", "adopt", "recover")))
    def tend(self, verb: str) -> None:
        """Heal, look for what nobody answers for, accept, or finish what was left."""
        if verb == "sweep":
            self._do("sweep", self.deeds.sweep())
        elif verb == "heal" and not self.open:  # else whose health, is not known
            self._do("heal", self.deeds.heal(whole=self.sight.is_whole()))
        elif verb == "adopt" and self._is_calm:
            self._do("adopt nothing", self.deeds.keep())
        else:
            self._do("recover", self.deeds.recover())

    @precondition(lambda self: self._is_calm and len(self._known.lines) > CHAPTER)
    @rule()
    def destroy(self) -> None:
        """End the service."""
        self._do("destroy", self.deeds.destroy(empty=not self.sight.status.fleets))

    @rule(pick=st.integers(0, 9))
    @precondition(lambda self: not self.open and self.sight.servers())
    def server_dies(self, pick: int) -> None:
        """Let a server die, of the live fleet or of the standby."""
        ran["server dies"] += 1
        servers = self.sight.servers()
        self.sim.kill_server(servers[pick % len(servers)])

    @rule(minutes=st.sampled_from((1, 15, 70)))
    def time_passes(self, minutes: int) -> None:
        """Let time pass: leases end, and the standby's time."""
        ran["time passes"] += 1
        with self.sim:
            self.sim.wait(timedelta(minutes=minutes))

    @precondition(lambda self: self._is_calm)
    @rule(verb=st.sampled_from(tuple(POINTS)), at=st.floats(0, 1), known=st.booleans())
    def crash(self, verb: str, at: float, *, known: bool) -> None:
        """Kill the program at some point of a call."""
        deed, began = self._deed(verb), self.sight.now
        main = self.sim.scheduler.main
        main.kill_at = len(main.points) + 1 + int(at * POINTS[verb])
        try:
            self._do("crash too late", deed)
        except Killed:
            ran[f"crash in {verb}"] += 1
            self._cut_short(deed, began)
            self.sim.restart(known=known)
        finally:
            main.kill_at = None

    @precondition(lambda self: self._is_calm)
    @rule(
        verb=st.sampled_from(VERBS), at_ms=st.integers(1, 1500), deploys=st.booleans()
    )
    def robbed(self, verb: str, at_ms: int, *, deploys: bool) -> None:
        """Stop the program in a call, until another one has taken over."""
        ran[f"robbed of {verb}"] += 1
        rival = self._deed("deploy") if deploys else self.deeds.recover()
        deed, began = self._deed(verb), self.sight.now
        main = self.sim.scheduler.main
        at, self.rivals = timedelta(milliseconds=at_ms), self.rivals + 1
        self.sim.at(at, lambda: self.sim.pause(main, 2 * LEASE))
        self.sim.spawn(f"rival-{self.rivals}", rival.call, after=at + LEASE)
        with self.sim:
            done = outcome_of(deed.call)
            self.sim.run()
        note(f"{verb} robbed by {rival}: {done and done.outcome}")
        self.models = tuple(dict.fromkeys(self._raced(deed, rival, began)))
        self.open = True

    @precondition(lambda self: self._is_calm)
    @rule(
        verb=st.sampled_from(VERBS),
        calls=st.sampled_from(OUTAGES),
        skip=st.integers(0, 30),
    )
    def outage(self, verb: str, calls: str, skip: int) -> None:
        """Have the provider refuse everything from some call on, and then be back."""
        ran[f"outage in {verb}"] += 1
        deed, began = self._deed(verb), self.sight.now
        self.sim.set_faults([Script(Fault.REFUSED, calls, times=None, skip=skip)])
        with self.sim:
            done = outcome_of(deed.call)
        self.sim.set_faults(None)
        note(f"{verb} without {calls} after {skip}: {done and done.outcome}")
        if done is not None and done.outcome is not Outcome.REFUSED:
            self._cut_short(deed, began)

    @precondition(lambda self: self._is_calm and self.sight.fleet("live"))
    @rule(share=st.sampled_from((0, 50, 100)))
    def moved(self, share: int) -> None:
        """Have a person move the traffic: all, half or none of it to the standby."""
        ran["moved"] += 1
        live, standby = self.sight.fleet("live"), self.sight.fleet("standby")
        both = {standby: share, live: 100 - share} if standby and share else {}
        route(self.sim, NAME, {f: w for f, w in both.items() if f and w})
        self.drifted = share if both else 0

    @precondition(lambda self: self.drifted is not None)
    @rule()
    def moved_back(self) -> None:
        """Have the person put it back."""
        ran["moved back"] += 1
        live = self.sight.fleet("live")
        route(self.sim, NAME, {live: 100} if live else {})
        self._no_drift()

    @precondition(lambda self: self.drifted is not None)
    @rule()
    def adopt(self) -> None:
        """Accept what the switch does."""
        if self.drifted == HALF:
            self._adopt_split()
            return
        standby = self._known.standby
        number = standby.number if standby and self.drifted else None
        self._do("adopt", self.deeds.adopt(number))
        self._no_drift()

    def _adopt_split(self) -> None:
        live, ready = self.sight.fleet("live"), self.sight.is_ready()
        self._do("adopt both", self.deeds.adopt_both())
        done = self._do("adopt one", self.deeds.adopt_live(str(live), ready=ready))
        if done is not None and done.outcome is Outcome.LIVE:
            self._no_drift()

    def _no_drift(self) -> None:
        self.drifted = None
        # the oracles forget a drift only when the engine overwrites it
        self.sim.oracles.traffic[NAME].drifted = None

    @rule()
    def rest(self) -> None:
        """Let all come to rest, and check that nothing is left over."""
        ran["rest"] += 1
        found = settle(self.sim, self.service)
        wanted = (False, self.drifted is not None)
        expect((found.stuck, found.drifted), wanted, "stuck and drifted")

    @invariant()
    def agrees(self) -> None:
        """Compare what there is with what there may be, after every step."""
        ran["steps"] += 1
        self._compare()

    def _compare(self) -> None:
        self.sight.look()
        if self.sight.status.deploying is not None and self.open:
            known = {m.live.number for m in self.models if m.live}
            known |= {m.following - 1 for m in self.models}
            expect(self.sight.served - known, set(), "traffic")
            return
        expect(self.sight.status.deploying, None, "in progress")
        expect(bool(self.sight.status.drift), self.drifted is not None, "drift")
        aged = map(self.sight.aged, self.models)
        found = {m: self.sight.differences(m, self.drifted) for m in aged}
        self.models = tuple(m for m, wrong in found.items() if not wrong)
        if not self.models:
            nearest = min(found.values(), key=lambda wrong: len(str(wrong)))
            raise Disagreement(f"of {len(found)} the nearest has {nearest}")
        self.open = False

    def teardown(self) -> None:
        """End every process that is left."""
        if hasattr(self, "sim"):
            self.sim.close()

    def _do(self, name: str, deed: Deed) -> Deployment | None:
        """Make a call, and keep the models that allow how it ended."""
        ran[name] += 1
        began = self.sight.now
        with self.sim:
            done = outcome_of(deed.call)
        note(f"{name}: {done and done.outcome} {done and done.error}")
        if done is not None and isinstance(done.error, Contention) and self.open:
            return done
        if self.drifted is not None and name not in UNDETERRED:
            expect(type(done and done.error), Drift, f"how {name} ends")
            return done
        futures = [deed.future(model, began) for model in self.models]
        outcome = done.outcome if done else None
        finishing = self.open and name == "recover"
        kept = [f.model for f in futures if finishing or f.outcome is outcome]
        if not kept:
            wanted = ", ".join(sorted({str(f.outcome) for f in futures}))
            raise Disagreement(f"{name} ends {outcome}, not {wanted}: {done}")
        self.models = tuple(dict.fromkeys(kept))
        return done

    def _cut_short(self, deed: Deed, began: datetime) -> None:
        found = (
            m for model in self.models for m in torn(deed.future(model, began), model)
        )
        self.models = tuple(dict.fromkeys(found))
        self.open = True

    def _raced(self, deed: Deed, rival: Deed, began: datetime) -> Iterator[Model]:
        """Return what there may be when two calls met, in either order."""
        for model in self.models:
            for first in torn(deed.future(model, began), model):
                yield first
                yield rival.future(first, began).model
            won = rival.future(model, began).model
            yield from torn(deed.future(won, began), won)

    def _deed(self, verb: str) -> Deed:
        match verb:
            case "rollback":
                return self.deeds.rollback(None, None)
            case "scale":
                live = self._known.live
                return self.deeds.scale(1 if live and live.size > 1 else 3)
            case "destroy":
                return self.deeds.destroy(empty=not self.sight.status.fleets)
        fate = "reverted" if verb == "reverted" else "good"
        strategy = CANARY if verb == "canary" else BLUE_GREEN
        return self.deeds.deploy(self.deeds.wish(fate, None), strategy)

    def _picked(self, pick: int | None) -> int | None:
        if pick is None:
            return None
        proven = [number for number, _ in self._known.proven]
        return [*proven, 99][pick % (len(proven) + 1)]

    @property
    def _known(self) -> Model:
        return self.models[0]

    @property
    def _is_calm(self) -> bool:
        return not self.open and self.drifted is None


def expect(found: object, wanted: object, what: str) -> None:
    """Compare.

    Raises:
        Disagreement: they differ.
    """
    if found != wanted:
        raise Disagreement(f"{what}: {found}, not {wanted}")
