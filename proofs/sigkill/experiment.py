"""One service, killed over and over: deploy, die, recover, look, and again."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import attrs

import immutable
from immutable.model import Outcome
from proofs.sigkill.census import journal_of, take_census
from proofs.sigkill.deployer import RECOVER, Order, Said
from proofs.sigkill.kills import Kill, choose
from proofs.sigkill.points import Point, snapshot_points
from proofs.sigkill.site import DEPLOY, REJECT, ROLLBACK, Site
from proofs.sigkill.standing import Standing, standing
from proofs.sigkill.tally import Tally
from proofs.sigkill.traffic import Traffic
from proofs.sigkill.zygote import Zygote

_TRIES = 8
"""So often a point is tried that deployers pass by; a snapshot is written by few."""
_KILLED_AGAIN, _RECOVERED_TWICE = 0.3, 0.25
"""In such shares of the rounds."""
_MEETINGS = range(1, 50)
_GRACE_S = 1.0

Tell = Callable[[str], None]


@attrs.frozen(kw_only=True)
class Aims:
    """What a run is to do."""

    count: int
    seed: int
    seconds: float = float("inf")


def run(site: Site, aims: Aims, tell: Tell) -> Tally:
    """Kill as many deployers as asked; afterwards nothing of the service is left."""
    began = time.monotonic()
    tally = Tally(backend=site.ground.name, asked=aims.count)
    with started(site, aims, tally) as experiment:
        tally.known = experiment.count()
        tell(f"{len(tally.known)} points, {experiment.took_s}")
        points = tally.known
        kills = choose(points, experiment.took_s, aims.count, experiment.chance)
        _kill_all(experiment, kills, began + aims.seconds, tell)
        experiment.conclude()
    tally.took_s = time.monotonic() - began
    return tally


def _kill_all(
    experiment: "Experiment", kills: list[Kill], deadline: float, tell: Tell
) -> None:
    queue = [(kill, 1) for kill in kills]
    while queue and time.monotonic() < deadline:
        kill, tries = queue.pop(0)
        if not experiment.kill(kill) and tries < _TRIES:
            queue.append((kill.sooner(), tries + 1))
        tell(f"{len(queue)} to go; {kill}")


@contextmanager
def started(site: Site, aims: Aims, tally: Tally) -> Iterator["Experiment"]:
    """Deploy a first release and let traffic flow; at the end destroy everything."""
    log, rate = site.directory / "traffic.log", site.ground.requests_per_second
    try:
        with Zygote(site) as zygote:
            zygote.run(Order(verb=DEPLOY, mark="r0"))
            tally.judge.allow(time.monotonic(), ["r0"], "the first release")
            with Traffic(site.listen, log, per_second=rate) as traffic:
                experiment = Experiment(
                    site=site,
                    zygote=zygote,
                    traffic=traffic,
                    chance=random.Random(aims.seed),
                    tally=tally,
                    service=site.service(),
                )
                experiment.undisturbed(DEPLOY)
                yield experiment
        immutable.destroy(site.service())
        left = frozenset[str]().union(*site.ground.traces().values())
        tally.leftovers |= left | site.ground.debris()
    finally:
        site.switch().shut_down()
        site.ground.clear()


@attrs.define
class Experiment:
    """The service between two rounds: production answers, and nobody is at work."""

    site: Site
    zygote: Zygote
    traffic: Traffic
    chance: random.Random
    tally: Tally
    service: immutable.Service
    rounds: int = 0
    killed_at: float = 0.0
    """By the monotonic clock: when a deployer last ended."""
    took_s: dict[str, float] = attrs.field(factory=dict)
    strays: dict[str, float] = attrs.field(factory=dict)
    """Since when there are instances that the ledger does not answer for."""

    def count(self) -> frozenset[Point]:
        """Run each verb undisturbed, and return the points that it always meets."""
        points: set[Point] = set()
        for verb in self.site.ground.verbs:
            first, second = self.undisturbed(verb), self.undisturbed(verb)
            points |= set(first.met) & set(second.met)
        return frozenset(points).union(snapshot_points(DEPLOY))

    def undisturbed(self, verb: str) -> Said:
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
        elif kill.point is not None:
            self.tally.killed_at.add(kill.point)
        else:
            self.tally.at_random += 1
        return said is None

    def conclude(self) -> None:
        """Let what is late come in; the next call must take it away.

        What the dead left half done may stay until the next deployment.
        """
        since = time.monotonic() - self.killed_at
        time.sleep(max(self._late_s + _GRACE_S - since, 0))
        immutable.recover(self.service)
        self._look("the end")
        if self.strays:
            self._sweep()
        self.undisturbed(DEPLOY)
        self.tally.leftovers |= self.site.ground.debris()

    def _prepare(self, verb: str) -> None:
        """See that a rollback finds a warm fleet of an earlier release."""
        while verb == ROLLBACK and standing(self.site).warm is None:
            self._round(Kill(verb=DEPLOY))

    def _round(self, kill: Kill) -> Said | None:
        self.rounds += 1
        before, began = standing(self.site), time.monotonic()
        new = before.warm if kill.verb == ROLLBACK else f"r{self.rounds}"
        order = Order(verb=kill.verb, mark=new or "", point=kill.point)
        said = self.zygote.run(order, kill_after_s=kill.after_s)
        self.killed_at = time.monotonic()
        died = standing(self.site)
        if said is None:
            self._recover(str(kill))
        elif said.outcome is not _right(kill.verb):
            self._blame(f"{kill}: undisturbed it ended {said.outcome}: {said.error}")
        self._judge(kill, before, died, new=new, began=began)
        self._look(str(kill))
        return said

    def _recover(self, what: str) -> None:
        while self.chance.random() < _KILLED_AGAIN:
            meeting = self.chance.choice(_MEETINGS)
            order = Order(verb=RECOVER, mark="", meeting=meeting)
            if self.zygote.run(order) is not None:
                break
            self.tally.in_recovery += 1
        done = immutable.recover(self.service)
        good = done.outcome in {Outcome.LIVE, Outcome.ROLLED_BACK}
        if not good or done.warnings or done.leftovers:
            said = (done.outcome, repr(done.error), done.warnings, done.leftovers)
            self._blame(f"recovery after {what}: {said}")
        if self.chance.random() < _RECOVERED_TWICE:
            self._recover_again(what)

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
        if ended not in ({old} if kill.verb == REJECT else {old, new}):
            self._blame(f"{kill}: production was on {old}, and is now on {ended}")
        self.tally.ended_new += ended == new
        self.tally.ended_old += ended == old
        marks = [mark for mark in (old, died.routed, ended) if mark is not None]
        judge = self.tally.judge
        judge.allow(began, marks, f"round {self.rounds}: {kill}")
        judge.allow(now, marks[-1:], f"the rest after round {self.rounds}")
        for line in self.traffic.answers():
            judge.hear(line)

    def _look(self, what: str) -> None:
        """Take a census; what came late may stay until the next call after its time."""
        census, now = take_census(self.site), time.monotonic()
        for problem in census.problems:
            self._blame(f"after {what}: {problem}")
        self.tally.late += len(census.strays - set(self.strays))
        self.strays = {name: self.strays.get(name, now) for name in census.strays}
        if now - min(self.strays.values(), default=now) > self._late_s + _GRACE_S:
            self._sweep()

    def _sweep(self) -> None:
        """Take away what should have gone by itself, and say so."""
        immutable.sweep(self.service)
        left = take_census(self.site).strays
        self.tally.swept += len(set(self.strays) - left)
        self.tally.leftovers |= set(self.strays) & left
        self.strays = {n: since for n, since in self.strays.items() if n in left}

    def _blame(self, what: str) -> None:
        self.tally.problems.append(what)

    @property
    def _late_s(self) -> float:
        return self.site.ground.backend(None).capabilities.late.total_seconds()


def _right(verb: str) -> Outcome:
    return Outcome.ROLLED_BACK if verb == REJECT else Outcome.LIVE
