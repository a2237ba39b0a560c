"""Trying an image of the past: one small fleet on the preview route, and then none.

No production request reaches it. What a killed process leaves, `sweep` finds: the place,
the preview, and the servers.
"""

from datetime import timedelta

import attrs

from immutable.deploying import looking
from immutable.deploying.aside import Aside, check_stop
from immutable.deploying.clearing import settle, unpreview
from immutable.deploying.engine import Engine
from immutable.deploying.view import whole
from immutable.errors import (
    BackendError,
    Contention,
    Drift,
    ImmutableError,
    Refused,
    Unsupported,
)
from immutable.judging import Target, Verdict, VerdictStatus
from immutable.model import (
    DeploymentId,
    FleetName,
    FleetView,
    Instance,
    LedgerId,
    Release,
    Routing,
    SwitchView,
)
from immutable.protocols import Validator
from immutable.validators.run import name_of, run_validators

ROLE = "trial"
"""What the tags of such a fleet say that it is."""
_PATIENCE = timedelta(seconds=5)
"""So long a check that is undecided is asked again."""


@attrs.frozen(kw_only=True)
class Terms:
    """What every trial of one search has in common."""

    check: Validator
    size: int
    ttl: timedelta
    allow_revoked: str | None


@attrs.frozen(kw_only=True)
class Trial:
    """What became of one release on the preview route."""

    release: Release
    verdict: Verdict
    fleet: FleetName | None
    """None: it was not launched."""
    took: timedelta
    leftovers: tuple[str, ...] = ()
    """What could not be taken away again; `sweep` does."""


def check_possible(engine: Engine) -> LedgerId:
    """See that trials can be had here; return whom the switch obeys.

    Raises:
        Unsupported: the switch has no preview route, or compares nothing.
        Refused: nothing was ever deployed.
    """
    can = engine.switch.capabilities
    if not can.preview:
        raise Unsupported("this switch has no preview route (capability: preview)")
    if can.fencing == "blind":
        raise Unsupported(
            "this switch compares nothing: a preview could undo somebody's deployment",
            hint="use a switch with compare-and-set (capability: fencing)",
        )
    if engine.ledger is None:
        raise Refused("nothing was ever deployed", hint="deploy first")
    return engine.ledger


def undecided(check: Validator, why: str) -> Verdict:
    """Return the verdict on what could not be tried."""
    return Verdict(
        status=VerdictStatus.UNDECIDED, evidence=why, validator=name_of(check)
    )


def try_release(engine: Engine, release: Release, terms: Terms) -> Trial:
    """Launch a release off production, have it judged, and take it away again.

    Raises:
        Cancelled: the caller asked to stop; all was taken away.
        Contention: somebody else is at work on the switch.
        LedgerError: the ledger cannot be read or written.
    """
    began = engine.host.now()
    why = _unfit(engine, release, terms)
    if why is not None:
        verdict = undecided(terms.check, why)
        took = engine.host.now() - began
        return Trial(release=release, verdict=verdict, fleet=None, took=took)
    verdict, fleet, left = _tried(engine, release, terms)
    return Trial(
        release=release,
        verdict=verdict,
        fleet=fleet,
        took=engine.host.now() - began,
        leftovers=left,
    )


def _unfit(engine: Engine, release: Release, terms: Terms) -> str | None:
    """Return why a release cannot be tried, None when it can."""
    image = release.image
    try:
        engine.guard.check(
            image, service=engine.service.name, override=terms.allow_revoked
        )
    except Refused as exc:
        return exc.message
    found = looking.ask(engine, lambda: engine.backend.images.find(image.id))
    if found is None:
        return f"image {image.id} is gone"
    if found.digest != image.digest:
        return f"image {image.id} is not what it was"
    return None


def _tried(
    engine: Engine, release: Release, terms: Terms
) -> tuple[Verdict, FleetName, tuple[str, ...]]:
    trial = _Trial(engine, release, terms)
    try:
        verdict = trial.run()
    except BackendError as exc:
        verdict = undecided(terms.check, str(exc))
    except Exception:
        trial.take_away()
        raise
    return verdict, trial.fleet, trial.take_away()


class _Trial:
    """One fleet, from its lease to its end."""

    def __init__(self, engine: Engine, release: Release, terms: Terms) -> None:
        self._engine, self._release, self._terms = engine, release, terms
        self._ledger = check_possible(engine)
        self._aside = Aside(
            engine=engine,
            ledger=self._ledger,
            release=release,
            size=terms.size,
            role=ROLE,
            until=engine.host.now() + terms.ttl,
            id=DeploymentId(engine.host.unique()[:16]),
        )
        self.fleet = self._aside.name

    def run(self) -> Verdict:
        """Launch the fleet, preview it, and return what the check says."""
        engine = self._engine
        self._aside.reserve()
        self._aside.admit(self._terms.allow_revoked)
        settle(engine, lambda view: view.attachment_of(self.fleet), self._attach)
        place = looking.read_switch(engine).attachment_of(self.fleet)
        self._aside.launch(place.place if place else None)
        ready = self._aside.wait(self._ready)
        if ready is None:
            return undecided(self._terms.check, f"{self.fleet} was not ready in time")
        if strange := self._strange(ready):
            said = f"{', '.join(strange)} run something else"
            return undecided(self._terms.check, said)
        settle(engine, lambda v: v.routing.preview == self.fleet, self._preview)
        return self._judged()

    def take_away(self) -> tuple[str, ...]:
        """Undo everything; return what could not be undone."""
        engine = self._engine
        try:
            unpreview(engine, self.fleet)
            settle(engine, lambda v: v.attachment_of(self.fleet) is None, self._detach)
            self._aside.clear()
        except ImmutableError as exc:
            return (f"fleet {self.fleet}: {exc}",)
        return ()

    def _attach(self, view: SwitchView) -> None:
        if view.owner != self._ledger:
            raise Drift(f"the switch obeys ledger {view.owner}, not this one")
        self._engine.switch.attach(
            self.fleet,
            health=self._release.health,
            owner=self._ledger,
            expected=view.version,
        )

    def _detach(self, view: SwitchView) -> None:
        self._engine.switch.detach(
            self.fleet, owner=self._ledger, expected=view.version
        )

    def _preview(self, view: SwitchView) -> None:
        if view.routing.preview is not None:
            raise Contention(
                f"fleet {view.routing.preview} is on the preview route",
                hint="wait for that deployment; sweep() ends what a dead trial left",
            )
        routing = Routing(weights=view.routing.weights, preview=self.fleet)
        self._engine.switch.write(routing, owner=self._ledger, expected=view.version)

    def _ready(self) -> tuple[Instance, ...] | None:
        """Return the instances, once each is ready as the switch sees it."""
        engine = self._engine
        seen = looking.observe(engine, self.fleet)
        self._join(seen)
        probes = looking.ask(engine, lambda: engine.switch.health(self.fleet))
        if not whole(probes, self._terms.size):
            return None
        return seen.alive if seen else ()

    def _strange(self, instances: tuple[Instance, ...]) -> list[str]:
        digest = self._release.digest
        return [i.id for i in instances if i.digest and not digest.startswith(i.digest)]

    def _join(self, seen: FleetView | None) -> None:
        engine = self._engine
        if seen is None or engine.backend.capabilities.launch_binds:
            return
        members = seen.members(self._release.health.port)
        place = looking.read_switch(engine).attachment_of(self.fleet)
        if place is not None and set(place.members) != set(members):
            drain = engine.service.drain
            looking.ask(
                engine, lambda: engine.switch.join(self.fleet, members, drain=drain)
            )

    def _judged(self) -> Verdict:
        """Return the verdict, unless it may have been about something else."""
        engine = self._engine
        until = engine.host.now() + _PATIENCE
        verdict = self._ask()
        while verdict.status is VerdictStatus.UNDECIDED and engine.host.now() < until:
            check_stop(engine)
            engine.host.sleep(timedelta(seconds=1), engine.stop)
            verdict = self._ask()
        if looking.read_switch(engine).routing.preview != self.fleet:
            why = "somebody else took the preview route meanwhile"
            return undecided(self._terms.check, why)
        return verdict

    def _ask(self) -> Verdict:
        engine = self._engine
        seen = looking.observe(engine, self.fleet)
        target = Target(
            endpoint=engine.switch.endpoints()[1],
            release=self._release,
            fleet=self.fleet,
            instances=seen.instances if seen else (),
            live=False,
            port=self._release.health.port,
        )
        limit = engine.service.validator_timeout
        asked = (self._terms.check,)
        return run_validators(asked, target, timeout=limit, here=engine.host)[0]
