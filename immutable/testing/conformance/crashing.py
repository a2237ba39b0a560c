"""Cases of deployers that die: at each of their effects, before it and after it."""

from collections.abc import Callable

import immutable
from immutable.model import Image, Routing
from immutable.results import Deployment
from immutable.service import Service
from immutable.testing.conformance.case import Part, Reach
from immutable.testing.conformance.clearing import release
from immutable.testing.conformance.deployer import Deployer, Life, choose, serving
from immutable.testing.conformance.suite import case, with_another, with_groups
from immutable.testing.conformance.trial import Trial, alive

_WHOLE = (
    "The deployer may die at any instant: afterwards production is wholly on the old or "
    "wholly on the new release, and nothing leaks"
)
_Verb = Callable[[Service], Deployment]


def _deploy(image: Image) -> _Verb:
    return lambda service: immutable.deploy(service, image)


@case(
    Part.CRASHING,
    "a deployment that dies anywhere is finished or undone",
    _WHOLE,
    reach=Reach.DEPLOYS,
    fit=with_another,
)
def deploys(t: Trial) -> None:
    """Deploy two images in turns, dying at one point after the other."""
    line, life = serving(t), Life()
    line.done(_deploy(t.another), life=life)
    _whole(line)
    chosen = choose(len(life.points), t.subject.crashes)
    for point in chosen.points:
        before = line.live().name
        other = t.good if _image(line) == t.another.id else t.another
        life = Life(point)
        line.do(_deploy(other), life=life)
        _recovered(t, line, life)
        t.expect(
            line.live().name == before or _image(line) == other.id,
            f"{before}, or a fleet of {other.id}",
            line.live(),
        )
    t.notes.append(("deploy:", str(chosen)))


@case(
    Part.CRASHING,
    "a first deployment that dies anywhere leaves all or nothing",
    _WHOLE,
    reach=Reach.DEPLOYS,
    fit=with_groups,
)
def deploys_first(t: Trial) -> None:
    """Die in the first deployment of one service after the other; then end them."""
    life = Life()
    Deployer(t).done(_deploy(t.good), life=life)
    chosen = choose(len(life.points), _fewer(t))
    for point in chosen.points:
        line, life = Deployer(t, t.fresh_service()), Life(point)
        line.do(_deploy(t.good), life=life)
        line.do(immutable.recover)
        if line.switch_view() != Routing():
            _whole(line)
        line.keeps_books()
        _ended(t, line, life)
    t.notes.append(("first deploy:", str(chosen)))


@case(
    Part.CRASHING,
    "scaling that dies anywhere is finished or undone",
    _WHOLE,
    reach=Reach.DEPLOYS,
    fit=with_groups,
)
def scales(t: Trial) -> None:
    """Scale between one and two, dying at one point after the other."""
    line = Deployer(t)
    line.done(lambda s: immutable.deploy(s, t.good, size=1))
    life = Life()
    line.done(lambda s: immutable.scale(s, 2), life=life)
    chosen = choose(len(life.points), _fewer(t))
    for point in chosen.points:
        size = 1 if alive(line.live()) > 1 else 2
        life = Life(point)
        line.do(lambda s, size=size: immutable.scale(s, size), life=life)  # type: ignore[misc]  # mypy infers no default
        _recovered(t, line, life)
    t.notes.append(("scale:", str(chosen)))


@case(
    Part.CRASHING,
    "an ending that dies anywhere can be repeated",
    "Fleets.retire: again: a fleet that is gone is no error; called again, it goes on",
    reach=Reach.DEPLOYS,
    fit=with_groups,
)
def destroys(t: Trial) -> None:
    """Destroy a service, dying on the way, and destroy it again."""
    line, life = serving(t), Life()
    line.done(immutable.destroy, life=life)
    chosen = choose(len(life.points), _fewer(t))
    for point in chosen.points:
        line, life = serving(t, t.fresh_service()), Life(point)
        line.do(immutable.destroy, life=life)
        _ended(t, line, life)
    t.notes.append(("destroy:", str(chosen)))


def _ended(t: Trial, line: Deployer, life: Life) -> None:
    """Destroy the service, and expect that nothing is left; be done with it."""
    line.do(immutable.destroy)
    where = life.points[-1]
    t.seen(line.inventory, lambda found: not found, f"nothing after {where}")
    release(t, line.name)


def _fewer(t: Trial) -> int | None:
    """Return how many points are tried where each costs a service, or says less."""
    crashes = t.subject.crashes
    return None if crashes is None else (crashes + 1) // 2


def _image(line: Deployer) -> str | None:
    return line.live().instances[0].image


def _recovered(t: Trial, line: Deployer, life: Life) -> None:
    """Recover as another process, and expect one whole release and nothing else."""
    if not life.is_over:
        return
    where = life.points[-1]
    line.do(immutable.recover)
    status = line.status()
    t.expect(not status.interrupted, f"nothing unfinished after {where}", status)
    _whole(line)
    line.keeps_books()


def _whole(line: Deployer) -> None:
    """Expect that one fleet serves, whole, ready, and of one release."""
    t, live = line.t, line.live()
    t.expect(len({i.digest for i in live.instances}) == 1, "one release", live)
    sizes = {f.name: f.size for f in line.status().fleets}
    t.expect(
        alive(live) == sizes.get(live.name), f"{sizes.get(live.name)} instances", live
    )
    t.eventually(
        lambda: line.switch.health(live.name),
        lambda probes: all(p.health == "ready" for p in probes) and bool(probes),
        f"every instance of {live.name} ready",
    )
