"""After a deployer's death or failure: another process recovers, and all is looked at."""

from collections.abc import Iterator
from contextlib import contextmanager

import attrs

import immutable
from emulators.plane.traffic import Traffic
from immutable.errors import ImmutableError
from immutable.ledger.state import State
from immutable.model import Outcome
from proofs.aws.census import World
from proofs.aws.planted import Bug, planted
from proofs.aws.site import Site
from proofs.aws.stage import Stage
from proofs.aws.tally import Tally
from proofs.aws.verbs import Verb

_GOOD = {Outcome.LIVE, Outcome.ROLLED_BACK}
_CLIENTS = 2
_PAUSE_S = 0.02


@attrs.frozen(kw_only=True)
class Try:
    """What was tried on a service, and between which releases production is then."""

    name: str
    verb: Verb
    site: Site
    old: str
    new: str

    @property
    def allowed(self) -> set[str]:
        """Return the releases of which production may be on one."""
        return {self.old, self.new} if self.verb.moves else {self.old}


@attrs.frozen(kw_only=True)
class Judge:
    """Recovers, and notes what is not as it must be."""

    stage: Stage
    tally: Tally
    bug: Bug | None = None
    """Planted into recoveries, too."""

    @contextmanager
    def watching(self, tried: Try) -> Iterator[None]:
        """Send requests meanwhile, unless what is tried costs some by itself."""
        if tried.verb.is_fresh or tried.verb is Verb.HEAL:
            yield
            return
        url = self.stage.url(tried.site)
        with Traffic(url=url, clients=_CLIENTS, pause_s=_PAUSE_S) as traffic:
            traffic.wait_for(1)
            yield
            traffic.wait_for(1)
        found = traffic.report
        self.tally.requests += len(found.samples)
        self.tally.lost += len(found.lost)
        strange = set(found.releases) - tried.allowed
        self.tally.strange += sum(found.releases[release] for release in strange)
        if found.lost or strange:
            self.blame(tried, f"{found.statuses}, answers of {found.releases}")

    def recover(self, tried: Try) -> None:
        """Recover, look, recover again, and look again."""
        self._call(tried)
        before = self.look(tried).names(), _kept(tried.site)
        self._call(tried)
        after = self.stage.look(tried.site).names(), _kept(tried.site)
        if before != after:
            self.blame(tried, f"a second recovery made {after} of {before}")

    def look(self, tried: Try) -> World:
        """Compare ledger, AWS and what clients get; return what there is."""
        world, wrong = self.stage.settled(tried.site)
        for problem in wrong:
            self.blame(tried, problem)
        live = self.stage.live(tried.site)
        if live not in tried.allowed:
            self.blame(tried, f"live is {live!r}, not one of {sorted(tried.allowed)}")
        self.tally.outcomes["new" if live == tried.new != tried.old else "old"] += 1
        return world

    def end(self, tried: Try) -> None:
        """Destroy a service, and expect that nothing is left of it."""
        done = immutable.destroy(tried.site.service())
        if done.error is not None:
            self.blame(tried, f"destroying ended {done.outcome}: {done.error!r}")
        _, left = self.stage.until(tried.site, _left)
        for what in left:
            self.blame(tried, f"left over: {what}")
        self.stage.clear(tried.site)

    def blame(self, tried: Try, what: str) -> None:
        """Note what is wrong."""
        self.tally.problems.append(f"{tried.name}: {what}")

    def _call(self, tried: Try) -> None:
        try:
            with planted(self.bug):
                done = immutable.recover(tried.site.service())
        except ImmutableError as exc:
            self.blame(tried, f"recovery raised {exc!r}")
            return
        if done.outcome not in _GOOD or done.leftovers:
            said = (done.outcome, repr(done.error), done.warnings, done.leftovers)
            self.blame(tried, f"recovery ended {said}")


def _left(world: World) -> tuple[str, ...]:
    return () if world.is_empty else (str(world),)


def _kept(site: Site) -> tuple[object, ...]:
    state: State = site.journal().state
    return state.fleets, state.attempt
