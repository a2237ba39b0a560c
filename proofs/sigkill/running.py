"""A whole run: set up, count the points, kill at each, look, and put away."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import attrs

import immutable
from proofs.sigkill.deployer import Deployers, Order, ready
from proofs.sigkill.experiment import Experiment
from proofs.sigkill.kills import Kill, choose
from proofs.sigkill.site import Site
from proofs.sigkill.tally import Tally
from proofs.sigkill.traffic import Traffic
from proofs.sigkill.verbs import Verb

_TRIES = 8
"""So often a point is tried that deployers pass by; a snapshot is written by few."""

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
    experiment: Experiment, kills: list[Kill], deadline: float, tell: Tell
) -> None:
    queue = [(kill, 1) for kill in kills]
    while queue and time.monotonic() < deadline:
        kill, tries = queue.pop(0)
        if not experiment.kill(kill) and tries < _TRIES:
            queue.append((kill.sooner(), tries + 1))
        tell(f"{len(queue)} to go; {kill}")


@contextmanager
def started(site: Site, aims: Aims, tally: Tally) -> Iterator[Experiment]:
    """Deploy a first release and let traffic flow; at the end destroy everything."""
    log, rate = site.directory / "traffic.log", site.ground.requests_per_second
    try:
        with Deployers(ready) as deployers:
            deployers.run(Order(site=site, verb=Verb.DEPLOY, mark="r0"))
            tally.judge.allow(time.monotonic(), ["r0"], "the first release")
            with Traffic(site.listen, log, per_second=rate) as traffic:
                experiment = Experiment(
                    site=site,
                    deployers=deployers,
                    traffic=traffic,
                    chance=random.Random(aims.seed),
                    tally=tally,
                    service=site.service(),
                )
                experiment.undisturbed(Verb.DEPLOY)
                yield experiment
        immutable.destroy(site.service())
        left = frozenset[str]().union(*site.ground.traces().values())
        tally.leftovers |= left | site.ground.debris()
    finally:
        site.switch().shut_down()
        site.ground.clear()
