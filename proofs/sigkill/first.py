"""The first deployment of a service, killed: each time another service, from nothing."""

import itertools
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import immutable
from immutable.model import Outcome
from proofs.sigkill.census import take_census
from proofs.sigkill.deployer import Deployers, Order, Said, ready
from proofs.sigkill.kills import Kill, choose
from proofs.sigkill.on_processes import OnProcesses
from proofs.sigkill.points import Point
from proofs.sigkill.ports import free_port
from proofs.sigkill.running import Aims, Tell
from proofs.sigkill.site import Site
from proofs.sigkill.standing import standing
from proofs.sigkill.tally import Tally
from proofs.sigkill.verbs import Verb

_TRIES = 4
_PATIENCE_S = 10.0
_GOOD = {Outcome.LIVE, Outcome.ROLLED_BACK}


def run_first(directory: Path, aims: Aims, tell: Tell) -> Tally:
    """Kill as many first deployments on processes as asked, each in a fresh place.

    Afterwards production is empty or on the release, and a second attempt succeeds.
    """
    began = time.monotonic()
    tally = Tally(backend="first deployments", asked=aims.count, has_traffic=False)
    with Deployers(ready) as deployers:
        places = (directory / str(number) for number in itertools.count())
        first, second = (_count(deployers, next(places)) for _ in range(2))
        points = set[Point](first.met) & set(second.met)
        took_s = {Verb.DEPLOY: min(first.took_s, second.took_s)}
        kills = choose(points, took_s, aims.count, random.Random(aims.seed))
        tally.known = frozenset(points)
        for number, kill in enumerate(kills, 1):
            if time.monotonic() < began + aims.seconds:
                _kill(deployers, places, kill, tally)
                tell(f"{len(kills) - number} to go; {kill}")
    tally.took_s = time.monotonic() - began
    return tally


@contextmanager
def _fresh(directory: Path) -> Iterator[Site]:
    """Yield a site where nothing is, and put away whatever comes to be there."""
    instances = directory / "instances"
    instances.mkdir(parents=True)
    address = f"127.0.0.1:{free_port()}"
    ground = OnProcesses(directory=instances, port=free_port())
    site = Site(directory=directory, listen=address, ground=ground)
    try:
        yield site
        immutable.destroy(site.service())
    finally:
        site.switch().shut_down()
        ground.clear()


def _count(deployers: Deployers, directory: Path) -> Said:
    with _fresh(directory) as site:
        said = deployers.run(Order(site=site, verb=Verb.DEPLOY, mark="one"))
    if said is None:
        raise RuntimeError("an undisturbed first deployment was killed")
    return said


def _kill(
    deployers: Deployers, places: Iterator[Path], kill: Kill, tally: Tally
) -> None:
    for _ in range(_TRIES):
        with _fresh(next(places)) as site:
            order = Order(site=site, verb=Verb.DEPLOY, mark="one", point=kill.point)
            said = deployers.run(order, kill_after_s=kill.after_s)
            if said is None:
                found = list(_judge(deployers, site, tally))
                tally.problems += [f"{kill}: {what}" for what in found]
                tally.count(kill)
                return
        tally.missed += 1
        kill = kill.sooner()


def _judge(deployers: Deployers, site: Site, tally: Tally) -> Iterator[str]:
    died = standing(site)
    done = immutable.recover(site.service())
    if done.outcome not in _GOOD or done.warnings or done.leftovers:
        yield f"recovery ended {done.outcome}: {done.error!r} {done.leftovers}"
    after = standing(site)
    tally.recovered(has_moved=after.live is not None)
    if not died.routed == after.routed == after.live:
        yield f"it went from {died} to {after}"
    yield from take_census(site).problems
    again = deployers.run(Order(site=site, verb=Verb.DEPLOY, mark="two"))
    if again is None or again.outcome is not Outcome.LIVE:
        yield f"a second attempt ended {again}"
        return
    yield from take_census(site).problems
    with urlopen(f"http://{site.listen}/", timeout=_PATIENCE_S) as answer:
        if b'"mark": "two"' not in answer.read():
            yield "production is not on the second attempt's release"
