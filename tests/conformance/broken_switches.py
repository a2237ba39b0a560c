"""Backends whose switch breaks the contract."""

# ruff: noqa: D101 - what is wrong with each is said in DEFECTS, at the end

from datetime import timedelta
from itertools import count

import attrs
from broken import Defect, Over, served
from broken_images import Flapping

from immutable.errors import Conflict
from immutable.model import Endpoint, Health, LedgerId, Routing, Version

_SERIAL = count(1)
_DRAIN = timedelta()


def switch(name: str, kind: type[Over], *found_by: str, options: str = "") -> Defect:
    """Return a defect of a switch; the objects of such a switch share their memory."""
    memory: dict[str, object] = {}

    def broken(lab, sound):
        made = kind(sound)
        made.lab, made.memory = lab, memory
        return made

    return Defect(name=name, switch=broken, found_by=found_by, options=options)


class SomebodysFromTheStart(Over):
    def read(self):
        view = self.inner.read()
        return attrs.evolve(view, owner=view.owner or LedgerId("somebody"))


class MovesHouse(Over):
    def endpoints(self):
        port = 8000 + next(_SERIAL)
        return Endpoint(host="here", port=port), Endpoint(host="here", port=port + 1)


class ReturnsEarly(Over):
    def write(self, routing, *, owner, expected):
        return Version(f"{int(expected) + 1}")


class NeverMoves(Over):
    def read(self):
        return attrs.evolve(self.inner.read(), version=Version("1"))

    def _now(self):
        return self.inner.read().version

    def write(self, routing, *, owner, expected):
        self.inner.write(routing, owner=owner, expected=self._now())
        return Version("1")

    def attach(self, fleet, *, health, owner, expected):
        self.inner.attach(fleet, health=health, owner=owner, expected=self._now())
        return Version("1")

    def detach(self, fleet, *, owner, expected):
        self.inner.detach(fleet, owner=owner, expected=self._now())
        return Version("1")


class BlindThoughItClaims(Over):
    def write(self, routing, *, owner, expected):
        now = self.inner.read().version
        return self.inner.write(routing, owner=owner, expected=now)


class BlindInPlaces(Over):
    def attach(self, fleet, *, health, owner, expected):
        now = self.inner.read().version
        return self.inner.attach(fleet, health=health, owner=owner, expected=now)


class Toggles(Over):
    def write(self, routing, *, owner, expected):
        if routing == self.inner.read().routing:
            routing = Routing()
        return self.inner.write(routing, owner=owner, expected=expected)


class TakesStrangersIn(Over):
    def write(self, routing, *, owner, expected):
        view = self.inner.read()
        for fleet, _ in routing.weights:
            if view.attachment_of(fleet) is None:
                expected = self.inner.attach(
                    fleet, health=None, owner=owner, expected=expected
                )
        return self.inner.write(routing, owner=owner, expected=expected)


class RoundsWeights(Over):
    def write(self, routing, *, owner, expected):
        if len(routing.weights) > 1:
            most = max(routing.weights, key=lambda pair: pair[1])[0]
            routing = attrs.evolve(routing, weights={most: 100})
        return self.inner.write(routing, owner=owner, expected=expected)


class DropsPreviews(Over):
    def write(self, routing, *, owner, expected):
        plain = Routing(weights=routing.weights)
        return self.inner.write(plain, owner=owner, expected=expected)


class RoutesInTheObject(Over):
    routing = None

    def write(self, routing, *, owner, expected):
        version = self.inner.write(Routing(), owner=owner, expected=expected)
        self.routing = routing
        return version

    def read(self):
        view = self.inner.read()
        return (
            view if self.routing is None else attrs.evolve(view, routing=self.routing)
        )


class GivesTrafficWithThePlace(Over):
    def attach(self, fleet, *, health, owner, expected):
        version = self.inner.attach(
            fleet, health=health, owner=owner, expected=expected
        )
        whole = Routing(weights={fleet: 100})
        return self.inner.write(whole, owner=owner, expected=version)


class PlacesAnew(Over):
    def attach(self, fleet, *, health, owner, expected):
        self.inner.attach(fleet, health=health, owner=owner, expected=expected)
        self.inner.join(fleet, (), drain=_DRAIN)
        return self.inner.read().version


class DetachesOnce(Over):
    def detach(self, fleet, *, owner, expected):
        if self.inner.read().attachment_of(fleet) is None:
            raise Conflict(f"{fleet} has no place")
        return self.inner.detach(fleet, owner=owner, expected=expected)


class DetachesWhatServes(Over):
    def detach(self, fleet, *, owner, expected):
        if self.inner.read().routing.mentions(fleet):
            expected = self.inner.write(Routing(), owner=owner, expected=expected)
        return self.inner.detach(fleet, owner=owner, expected=expected)


class Appends(Over):
    def join(self, fleet, members, *, drain):
        place = self.inner.read().attachment_of(fleet)
        known = place.members if place else ()
        everyone = tuple(dict.fromkeys((*known, *members)))
        self.inner.join(fleet, everyone, drain=drain)


class JoinsAnew(Over):
    def join(self, fleet, members, *, drain):
        self.inner.join(fleet, (), drain=drain)
        self.inner.join(fleet, members, drain=drain)


class SwallowsErrors(Over):
    def join(self, fleet, members, *, drain):
        try:
            self.inner.join(fleet, members, drain=drain)
        except Conflict:
            return


class ProbesOne(Over):
    def health(self, fleet):
        return self.inner.health(fleet)[:1]


class LiesAboutHealth(Over):
    def health(self, fleet):
        probes = self.inner.health(fleet)
        return tuple(attrs.evolve(p, health=Health.READY) for p in probes)


class OnceReadyAlwaysReady(Over):
    def health(self, fleet):
        probes = self.inner.health(fleet)
        ready = self.memory.setdefault("ready", set())
        ready.update(p.instance for p in probes if p.health is Health.READY)
        return tuple(
            attrs.evolve(p, health=Health.READY) if p.instance in ready else p
            for p in probes
        )


class CountsNothing(Over):
    def sessions(self, fleet):
        return None


class TakesUnknownForZero(Over):
    @property
    def capabilities(self):
        return attrs.evolve(self.inner.capabilities, counts_sessions=False)


def first_served(memory: dict[str, str]):
    """Return a visit that always meets what was served first."""

    def visit(lab, service):
        return memory.setdefault(service, served(lab, service))

    return visit


DEFECTS = (
    switch(
        "belongs to somebody from the start",
        SomebodysFromTheStart,
        "switch: a new switch is empty and nobody's",
    ),
    switch(
        "is somewhere else each time",
        MovesHouse,
        "switch: clients are told where to connect",
    ),
    switch(
        "acknowledges what it does not do",
        ReturnsEarly,
        "switch: what is written is what is read",
        "switch: a fleet without a place gets no traffic",
    ),
    switch(
        "never moves its version", NeverMoves, "switch: every write moves the version"
    ),
    switch(
        "writes blindly, and claims compare-and-set",
        BlindThoughItClaims,
        "switch: a stale write is refused",
        "switch: of writers at once one wins",
    ),
    switch(
        "places blindly, and claims compare-and-set",
        BlindInPlaces,
        "switch: a stale attach or detach is refused",
    ),
    switch("toggles", Toggles, "switch: writing the same again changes nothing"),
    switch(
        "takes strangers in",
        TakesStrangersIn,
        "switch: a fleet without a place gets no traffic",
    ),
    switch(
        "rounds weights",
        RoundsWeights,
        "switch: weights are kept",
        "deploying: a canary moves by its steps",
    ),
    switch(
        "rounds weights that it should refuse",
        RoundsWeights,
        "switch: weights that are not declared are refused",
        options="weighted=no",
    ),
    Defect(
        name="says that it splits when a deployment asks",
        switch=lambda lab, sound: Flapping(sound, lab, 2, weighted=False),
        found_by=("deploying: a canary that cannot be is refused",),
    ),
    switch(
        "drops previews", DropsPreviews, "switch: a fleet is previewed without traffic"
    ),
    switch(
        "drops previews that it should refuse",
        DropsPreviews,
        "switch: a preview that is not declared is refused",
        options="preview=no",
    ),
    switch(
        "routes in the object", RoutesInTheObject, "switch: what was written survives"
    ),
    Defect(
        name="is one for all services",
        of_service=lambda _service: "all",
        found_by=("switch: switches of two services are two",),
    ),
    Defect(
        name="serves the first fleet for ever",
        visit=first_served({}),
        found_by=(
            "switch: clients are served by the fleet that has the traffic",
            "deploying: a second release replaces the first, and a rollback restores it",
        ),
    ),
    switch(
        "gives traffic with the place",
        GivesTrafficWithThePlace,
        "switch: a fleet gets its place without traffic",
    ),
    switch(
        "drops members when it places again",
        PlacesAnew,
        "switch: a fleet that has a place keeps it",
    ),
    switch(
        "detaches only what is there", DetachesOnce, "switch: a place is taken away"
    ),
    switch(
        "detaches what serves",
        DetachesWhatServes,
        "switch: what has traffic keeps its place",
    ),
    switch("appends members", Appends, "switch: members are exactly those that joined"),
    switch(
        "joins everyone anew", JoinsAnew, "switch: members that stay are not disturbed"
    ),
    switch("swallows errors", SwallowsErrors, "switch: nobody joins without a place"),
    switch("probes one member only", ProbesOne, "switch: members become ready"),
    switch(
        "lies about health",
        LiesAboutHealth,
        "switch: what does not answer is never ready",
        "deploying: a failed release leaves all as it was",
    ),
    switch(
        "takes for ready what once was",
        OnceReadyAlwaysReady,
        "switch: a member that dies is not ready any more",
    ),
    switch(
        "counts no sessions, and claims to",
        CountsNothing,
        "switch: sessions are counted",
    ),
    switch(
        "takes unknown for zero",
        TakesUnknownForZero,
        "switch: sessions that are not counted are unknown",
    ),
)
