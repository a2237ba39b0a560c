"""Cases of whole deployments, by the public calls: what users get from a backend."""

import immutable
from immutable.errors import Unsupported
from immutable.events import Event, Shifted
from immutable.model import Outcome
from immutable.strategies import Canary
from immutable.testing.conformance.case import Part, Reach
from immutable.testing.conformance.changing import killable
from immutable.testing.conformance.deployer import COLD, SHORT, Deployer, serving
from immutable.testing.conformance.placing import sick
from immutable.testing.conformance.suite import (
    case,
    declares,
    each,
    lacks,
    with_another,
    with_groups,
)
from immutable.testing.conformance.trial import Trial, alive, ids_of


def _served(t: Trial) -> str:
    return t.subject.visit(t.production) if t.subject.visit else ""


@case(
    Part.DEPLOYING,
    "a first release goes live, and ends without a trace",
    "A deployment launches a whole fleet, proves it and moves all traffic to it; "
    "destroy leaves nothing",
    reach=Reach.DEPLOYS,
    fit=with_groups,
)
def goes_live(t: Trial) -> None:
    """Deploy, look at what serves, and destroy the service."""
    line = serving(t)
    live = line.live()
    t.expect(alive(live) == t.subject.size, f"{t.subject.size} instances", live)
    line.keeps_books()
    line.done(immutable.destroy)
    t.seen(line.inventory, lambda found: not found, "nothing left")


@case(
    Part.DEPLOYING,
    "a second release replaces the first, and a rollback restores it",
    "The old fleet stays warm beside the new one; a rollback moves the traffic back to it",
    reach=Reach.DEPLOYS,
    fit=with_another,
)
def replaces(t: Trial) -> None:
    """Deploy two releases, roll back warm, and compare what serves."""
    line = serving(t)
    first, said = line.live(), _served(t)
    line.done(lambda s: immutable.deploy(s, t.another))
    second, then = line.live(), _served(t)
    t.expect(second.name != first.name, "another fleet", second.name)
    t.expect(not said or said != then, "another answer", then)
    line.keeps_books()
    line.done(immutable.rollback)
    third, last = line.live(), _served(t)
    t.expect(third == first, f"the first fleet, as it was: {first}", third)
    t.expect(last == said, "the first answer", last)


@case(
    Part.DEPLOYING,
    "a rollback to a fleet that is gone launches it again",
    "Rollback is the same algorithm aimed at an earlier release",
    reach=Reach.DEPLOYS,
    fit=with_another,
)
def launches_again(t: Trial) -> None:
    """Deploy two releases, keep nothing warm, and roll back."""
    line = serving(t)
    first = line.live()
    line.done(lambda s: immutable.deploy(s, t.another), strategy=COLD)
    # by an older reading the fleet has its traffic still, and is left alone
    t.pause(t.staleness)
    line.do(immutable.sweep)
    line.done(immutable.rollback, strategy=COLD)
    live = line.live()
    images = {i.image for i in live.instances}
    t.expect(images == {t.good.id}, f"instances of {t.good.id}", live)
    t.expect(live.name != first.name, "another fleet than the first", live.name)
    line.keeps_books()


@case(
    Part.DEPLOYING,
    "a failed release leaves all as it was",
    "ROLLED_BACK: it failed, production is as it was, and nothing is left over",
    reach=Reach.DEPLOYS,
    fit=sick,
)
def fails_cleanly(t: Trial) -> None:
    """Deploy an image that never becomes ready over one that serves."""
    line = serving(t)
    before, live, said = line.inventory(), line.live(), _served(t)
    done = line.do(
        lambda s: immutable.deploy(s, t.broken_image),
        ready_timeout=t.subject.fails_after,
    )
    outcome = done.outcome if done else None
    t.expect(outcome is Outcome.ROLLED_BACK, "ROLLED_BACK", done and done.error)
    t.seen(line.inventory, lambda found: found == before, f"only {sorted(before)}")
    t.expect(line.live() == live, f"the fleet {live.name} as it was", line.live())
    t.expect(_served(t) == said, "the same answer", _served(t))
    line.keeps_books()


@case(
    Part.DEPLOYING,
    "a canary moves by its steps",
    "SwitchCapabilities.weighted: weights other than 0 and 100 are honoured",
    reach=Reach.DEPLOYS,
    fit=each(declares("switch", "weighted"), with_another),
)
def moves_by_steps(t: Trial) -> None:
    """Deploy by one step of a quarter, and see it on the way."""
    line = serving(t)
    shares: list[int] = []

    def note(event: Event) -> None:
        if isinstance(event, Shifted):
            shares.append(min(weight for _, weight in event.routing.weights))
            shares.append(min(w for _, w in line.switch_view().weights))

    canary = Canary(steps=(25,), hold=SHORT, bake=SHORT)
    line.done(lambda s: immutable.deploy(s, t.another, on_event=note), strategy=canary)
    t.expect(shares == [25, 25, 100, 100], "25 and then 100 percent", shares)


@case(
    Part.DEPLOYING,
    "a canary that cannot be is refused",
    "Absent capabilities are refused by planning, by name and before any effect",
    reach=Reach.DEPLOYS,
    fit=each(with_another, lacks("switch", "weighted")),
)
def refuses_canaries(t: Trial) -> None:
    """Deploy by steps where traffic moves as a whole: nothing happens."""
    line = serving(t)
    before, live = line.inventory(), line.live()
    canary = Canary(steps=(25,), hold=SHORT, bake=SHORT)
    error = t.refused(
        lambda: line.do(lambda s: immutable.deploy(s, t.another), strategy=canary),
        Unsupported,
        what="a canary",
    )
    t.expect("weighted" in error.message, "the capability's name", error.message)
    t.expect(line.inventory() == before, f"only {sorted(before)}", line.inventory())
    t.expect(line.live() == live, f"{live.name} as it was", line.live())


@case(
    Part.DEPLOYING,
    "a fleet is scaled up and down",
    "Fleets.resize: destroy exactly those in remove, then bring the fleet to its size",
    reach=Reach.DEPLOYS,
    fit=with_groups,
)
def scales(t: Trial) -> None:
    """Scale by one up and by two down: who stays was there before."""
    line, size = Deployer(t), 2
    line.done(lambda s: immutable.deploy(s, t.good, size=size))
    first = ids_of(line.live())
    line.done(lambda s: immutable.scale(s, size + 1))
    more = ids_of(line.live())
    t.expect(first < more and len(more) == size + 1, f"{first} and another", more)
    line.done(lambda s: immutable.scale(s, size - 1))
    fewer = ids_of(line.live())
    t.expect(fewer < more and len(fewer) == size - 1, f"one of {more}", fewer)
    members = {m.instance for m in t.place(line.live().name).members}
    t.expect(members == fewer, f"members {fewer}", members)


@case(
    Part.DEPLOYING,
    "a dead instance is healed",
    "Fleets.replace: destroy one instance, and dead ones, and bring the fleet back",
    reach=Reach.DEPLOYS,
    fit=killable,
)
def heals(t: Trial) -> None:
    """Let one of two serving instances die, and heal."""
    line = Deployer(t)
    line.done(lambda s: immutable.deploy(s, t.good, size=2))
    dying, staying = (i.id for i in line.live().instances)
    t.kill(dying)
    # a provider that heals by itself may have been faster
    t.eventually(
        line.live,
        lambda view: dying not in {i.id for i in view.alive},
        f"{dying} GONE",
    )
    line.done(immutable.heal)
    ids = ids_of(line.live())
    t.expect(staying in ids and dying not in ids, f"{staying} and a new one", ids)
    t.ready(line.live().name, 2)
