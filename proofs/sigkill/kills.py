"""Which kills to make: every point once, then instants at random."""

import random
from collections.abc import Iterable, Mapping

import attrs

from proofs.sigkill.points import Point
from proofs.sigkill.verbs import Verb

_RANDOM_SHARE = 8
"""At least one kill in so many comes at a random instant."""


@attrs.frozen(kw_only=True)
class Kill:
    """A deployer's death: at a point, or so long after it began; with neither, none."""

    verb: Verb
    point: Point | None = None
    after_s: float | None = None

    def sooner(self) -> "Kill":
        """Return a kill to try after this one came too late: a point stays a point."""
        if self.after_s is None:
            return self
        return attrs.evolve(self, after_s=self.after_s / 2)

    def __str__(self) -> str:
        if self.point is not None:
            return str(self.point)
        when = "undisturbed" if self.after_s is None else f"after {self.after_s:.3f} s"
        return f"{self.verb} {when}"


def choose(
    points: Iterable[Point],
    took_s: Mapping[Verb, float],
    count: int,
    chance: random.Random,
) -> list[Kill]:
    """Return kills in an order that mixes everything.

    All points when there are fewer of them than kills, otherwise a sample; the rest comes
    at random instants.

    Args:
        points: all that are known.
        took_s: how long each verb takes when nobody is killed.
        count: how many kills.
        chance: makes the same choice from the same seed.
    """
    known = sorted(points)
    aimed = len(known) if len(known) <= count else count - count // _RANDOM_SHARE
    kills = [
        Kill(verb=Verb(point.verb), point=point)
        for point in chance.sample(known, aimed)
    ]
    kills += [_at_random(took_s, chance) for _ in range(count - aimed)]
    chance.shuffle(kills)
    return kills


def _at_random(took_s: Mapping[Verb, float], chance: random.Random) -> Kill:
    verb = chance.choice(sorted(took_s))
    return Kill(verb=verb, after_s=chance.uniform(0, took_s[verb]))
