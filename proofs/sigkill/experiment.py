"""One service, killed over and over: deploy, die, recover, look, and again."""

import random
import time

import attrs

import immutable
from immutable.model import Outcome
from proofs.sigkill.census import fleet_of, journal_of, take_census
from proofs.sigkill.deployer import Deployers, Order, Said
from proofs.sigkill.kills import Kill
from proofs.sigkill.points import Point, snapshot_points
from proofs.sigkill.site import Site
from proofs.sigkill.standing import Standing, needed_before, standing
from proofs.sigkill.tally import Tally
from proofs.sigkill.traffic import Traffic
from proofs.sigkill.verbs import Verb

_KILLED_AGAIN, _RECOVERED_TWICE = 0.3, 0.25
"""In such shares of the rounds."""
_MEETINGS = 40
"""So many points recovery meets at most; most of them in its first steps."""
_GRACE_S = 1.0


@attrs.define
class Experiment:
    """The service between two rounds: production answers, and nobody is at work."""

    site: Site
    deployers: Deployers
    traffic: Traffic
    chance: random.Random
    tally: Tally
    service: immutable.Service
    rounds: int = 0
    doubted_at: float = 0.0
    """By the monotonic clock: after the last recovery."""
    took_s: dict[Verb, float] = attrs.field(factory=dict)
    strays: frozenset[str] = frozenset()
    """Instances that the ledger does not answer for."""

    def count(self) -> frozenset[Point]:
        """Run each verb undisturbed, and return the points that it always meets."""
        points: set[Point] = set()
        for verb in self.site.ground.verbs:
            first, second = self.undisturbed(verb), self.undisturbed(verb)
            points |= set(first.met) & set(second.met)
        return frozenset(points).union(snapshot_points(self.site.ground.verbs[0]))

    def undisturbed(self, verb: Verb) -> Said:
        """Let a verb run to its end."""
        self._prepare(verb)
        said = self._round(Kill(verb=verb))
        if said is None:
            raise RuntimeError(f"an undisturbed {verb} was killed")
        self.took_s[verb] = min(said.took_s, self.took_s.get(verb, said.took_s))
        return said

    def kill(self, kill: Kill) -> bool:
        """Kill a deployer, recover, look; return whether it was killed at all."""
        self._prepare(kill.verb)
        said = self._round(kill)
        if said is not None:
            self.tally.missed += 1
        else:
            self.tally.count(kill)
        return said is None

    def conclude(self) -> None:
        """Let what is late come in; the next call must take it away.

        What the dead left half done may stay until the next deployment.
        """
        since = time.monotonic() - self.doubted_at
        time.sleep(max(self._late_s + _GRACE_S - since, 0))
        immutable.recover(self.service)
        self._look("the end")
        if self.strays:
            self._sweep()
        self.undisturbed(Verb.DEPLOY)
        self.tally.leftovers |= self.site.ground.debris()

    def _prepare(self, verb: Verb) -> None:
        """Bring the service to where the verb always does the same."""
        size = self.site.ground.size
        while first := needed_before(verb, standing(self.site), size):
            self._round(Kill(verb=first))
        if verb is Verb.HEAL:
            fleet, files = standing(self.site).fleet, self.site.ground.traces()
            own = sorted(n for n in files["files"] if fleet_of(n) == fleet)
            self.site.ground.hurt(own[0])

    def _round(self, kill: Kill) -> Said | None:
        self.rounds += 1
        before, began = standing(self.site), time.monotonic()
        new = self._aim(kill.verb, before)
        order = Order(site=self.site, verb=kill.verb, mark=new or "", point=kill.point)
        said = self.deployers.run(order, kill_after_s=kill.after_s)
        died = standing(self.site)
        if said is None:
            self._recover(kill)
            self.tally.recovered(has_moved=standing(self.site).live != before.live)
        elif said.outcome is not kill.verb.right:
            self._blame(f"{kill}: undisturbed it ended {said.outcome}: {said.error}")
        self.doubted_at = time.monotonic()
        self._judge(kill, before, died, new=new, began=began)
        self._look(str(kill))
        return said

    def _aim(self, verb: Verb, before: Standing) -> str | None:
        """Return the mark of the release that the verb makes live, or tries to."""
        if verb is Verb.ROLLBACK:
            return before.warm
        is_new = verb in {Verb.DEPLOY, Verb.REJECT}
        return f"r{self.rounds}" if is_new else before.live

    def _recover(self, kill: Kill) -> None:
        while self.chance.random() < _KILLED_AGAIN:
            meeting = 1 + int(_MEETINGS * self.chance.random() ** 2)
            order = Order(site=self.site, verb=Verb.RECOVER, meeting=meeting)
            if self.deployers.run(order) is not None:
                break
            self.tally.in_recovery += 1
        done = immutable.recover(self.service)
        good = done.outcome in {Outcome.LIVE, Outcome.ROLLED_BACK}
        if not good or done.warnings or done.leftovers:
            said = (done.outcome, repr(done.error), done.warnings, done.leftovers)
            self._blame(f"recovery after {kill}: {said}")
        if self.chance.random() < _RECOVERED_TWICE:
            self._recover_again(str(kill))
        if kill.verb is Verb.HEAL:
            # who died before beginning left everything as it was
            immutable.heal(self.service)

    def _recover_again(self, what: str) -> None:
        before = journal_of(self.site).state
        immutable.recover(self.service)
        after = journal_of(self.site).state
        if (before.fleets, before.attempt) != (after.fleets, after.attempt):
            self._blame(f"a second recovery changed things after {what}")

    def _judge(
        self,
        kill: Kill,
        before: Standing,
        died: Standing,
        *,
        new: str | None,
        began: float,
    ) -> None:
        """Say who may have answered meanwhile, and who may answer from now on."""
        after, now = standing(self.site), time.monotonic()
        old, ended = before.live, after.live
        if not ended == after.routed == died.routed:
            self._blame(f"{kill}: it went from {before} by {died} to {after}")
        if ended not in ({old, new} if kill.verb.moves else {old}):
            self._blame(f"{kill}: production was on {old}, and is now on {ended}")
        marks = [mark for mark in (old, died.routed, ended) if mark is not None]
        judge = self.tally.judge
        judge.allow(began, marks, f"round {self.rounds}: {kill}")
        judge.allow(now, marks[-1:], f"the rest after round {self.rounds}")
        for line in self.traffic.answers():
            judge.hear(line)

    def _look(self, what: str) -> None:
        """Take a census. What came late may stay: there are doubts while people die."""
        census = take_census(self.site)
        for problem in census.problems:
            self._blame(f"after {what}: {problem}")
        self.tally.late |= census.strays
        self.strays = census.strays

    def _sweep(self) -> None:
        """Take away what should have gone by itself, and say so."""
        immutable.sweep(self.service)
        left = take_census(self.site).strays
        self.tally.swept |= self.strays - left
        self.tally.leftovers |= left

    def _blame(self, what: str) -> None:
        self.tally.problems.append(what)

    @property
    def _late_s(self) -> float:
        """Return for how long there may be doubts after the last death."""
        backend, switch = self.site.ground.backend(None), self.site.switch()
        late = max(backend.capabilities.late, switch.capabilities.late)
        return late.total_seconds()
