"""What each public call should make of a service, in as few words as there are.

A `Model` is what a caller may believe; a `Future` is one way in which a call may end. A
call has one future as long as nothing goes wrong. One that is killed, robbed of its lease
or cut off from its provider has several, and what is seen afterwards says which it was.
"""

from datetime import datetime, timedelta

import attrs

from immutable.model import Outcome

SIZE = 2
"""The service's own size: the least that a deploy without a size makes."""
KEPT = timedelta(hours=1)
"""How long the old fleet is kept."""
Line = tuple[str, int | None, Outcome | None]
"""What history says of one call: verb, release and outcome."""


@attrs.frozen(kw_only=True)
class Side:
    """A fleet, as far as a caller can tell."""

    number: int
    image: str
    size: int
    until: datetime | None = attrs.field(default=None, eq=False)
    """When its time is over, at the latest."""


@attrs.frozen(kw_only=True)
class Model:
    """What a service should be."""

    live: Side | None = None
    standby: Side | None = None
    following: int = 1
    """The number of the next new release."""
    proven: tuple[tuple[int, str], ...] = ()
    """Releases that were ever live, ascending, each with its image."""
    lines: tuple[Line, ...] = ()
    """History, retirements aside."""

    def say(self, *line: Line) -> "Model":
        """Return the model with one more line of history."""
        return attrs.evolve(self, lines=(*self.lines, *line))

    def earlier(self) -> int | None:
        """Return the release that a rollback goes to, None when there is none."""
        live = self.live.number if self.live else 0
        return max((n for n, _ in self.proven if n < live), default=None)


@attrs.frozen(kw_only=True)
class Future:
    """One way in which a call may end; no outcome: it raises `UnknownRelease`."""

    outcome: Outcome | None
    model: Model


@attrs.frozen(kw_only=True)
class Wish:
    """What a deploy is asked for, and whether it is fit."""

    image: str
    size: int | None = None
    good: bool = True
    """Ready, of the right digest, and let through, by validators on both routes."""


def deploy(model: Model, wish: Wish, *, now: datetime) -> Future:
    """Return how a deploy ends that begins now."""
    number = model.following
    begun = attrs.evolve(model, following=number + 1)
    if not wish.good:
        return _ended(begun, "deploy", number, Outcome.ROLLED_BACK)
    size = wish.size or max(SIZE, model.live.size if model.live else 0)
    side = Side(number=number, image=wish.image, size=size)
    model = _prove(_cut_over(begun, side, now), side)
    return _ended(model, "deploy", number, Outcome.LIVE)


def deploy_again(model: Model, size: int | None) -> Future:
    """Return how a deploy of what is live already ends."""
    if size is None or model.live is None:
        return Future(outcome=Outcome.LIVE, model=model)
    return scale(model, size)


def rollback(
    model: Model, to: int | None, size: int | None, *, now: datetime
) -> Future:
    """Return how a rollback ends that begins now."""
    number = model.earlier() if to is None else to
    image = dict(model.proven).get(number or 0)
    if number is None or image is None:
        return Future(outcome=None, model=model)
    if model.live is not None and model.live.number == number:
        return Future(outcome=Outcome.LIVE, model=model)
    incumbent = model.live.size if model.live else 0
    least = SIZE
    if model.standby is not None and model.standby.number == number:
        least = model.standby.size
    side = Side(number=number, image=image, size=size or max(least, incumbent))
    return _ended(_cut_over(model, side, now), "rollback", number, Outcome.LIVE)


def scale(model: Model, size: int) -> Future:
    """Return how a change of size ends."""
    if model.live is None:
        return Future(outcome=Outcome.REFUSED, model=model)
    if model.live.size == size:
        return Future(outcome=Outcome.LIVE, model=model)
    changed = attrs.evolve(model, live=attrs.evolve(model.live, size=size))
    return _ended(changed, "scale", None, Outcome.LIVE)


def heal(model: Model, *, whole: bool) -> Future:
    """Return how healing ends."""
    if model.live is None:
        return Future(outcome=Outcome.REFUSED, model=model)
    if whole:
        return Future(outcome=Outcome.LIVE, model=model)
    return _ended(model, "heal", None, Outcome.LIVE)


def destroy(model: Model, *, empty: bool) -> Future:
    """Return how the end of the service ends."""
    if empty:
        return Future(outcome=Outcome.LIVE, model=model)
    gone = attrs.evolve(model, live=None, standby=None)
    return _ended(gone, "destroy", None, Outcome.LIVE)


def adopt(model: Model, number: int | None, *, now: datetime) -> Future:
    """Return how accepting the standby's release ends, or None: no traffic at all."""
    standby = model.standby if number is not None else None
    model = _cut_over(model, standby, now)
    if standby is not None:
        model = _prove(model, standby)
    return _ended(model, "adopt", None, Outcome.LIVE)


def torn(future: Future, model: Model) -> tuple[Model, ...]:
    """Return what there may be when a call was cut short, and then finished or undone.

    It never began; it was finished; it was undone; or it was left as it was.
    """
    said = future.model.lines[len(model.lines) :]
    back = attrs.evolve(model, following=future.model.following)
    left = attrs.evolve(future.model, lines=model.lines, proven=model.proven)
    ends = ((back, Outcome.ROLLED_BACK), (back, Outcome.NEEDS_RECOVERY))
    grown = tuple((_with_grown_standby(found), outcome) for found, outcome in ends)
    others = (
        found.say((verb, number, outcome))
        for verb, number, _ in said
        for found, outcome in (*ends, *grown, (left, Outcome.NEEDS_RECOVERY))
    )
    return (model, future.model, *others)


def _with_grown_standby(model: Model) -> Model:
    """Return the model as a rollback leaves it that failed before the shift."""
    live, standby = model.live, model.standby
    if live is None or standby is None:
        return model
    size = max(standby.size, live.size)
    return attrs.evolve(model, standby=attrs.evolve(standby, size=size))


def _ended(model: Model, verb: str, number: int | None, outcome: Outcome) -> Future:
    return Future(outcome=outcome, model=model.say((verb, number, outcome)))


def _cut_over(model: Model, side: Side | None, now: datetime) -> Model:
    old = attrs.evolve(model.live, until=now + KEPT) if model.live else None
    return attrs.evolve(model, live=side, standby=old)


def _prove(model: Model, side: Side) -> Model:
    proven = {**dict(model.proven), side.number: side.image}
    return attrs.evolve(model, proven=tuple(sorted(proven.items())))
