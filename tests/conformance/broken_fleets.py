"""Backends that launch, change or retire fleets in a broken way."""

# ruff: noqa: D101, D103 - what is wrong with each is said in DEFECTS, at the end

from itertools import count

import attrs
from broken import Altered, Defect, Over

from immutable.errors import BackendError, InvalidInput
from immutable.model import (
    InstanceState,
    Token,
    digest_of,
)

_SERIAL = count()


def fleets(name: str, kind: type[Over], *found_by: str) -> Defect:
    """Return a defect of fleets; the objects of such a backend share their memory."""
    memory: dict[str, object] = {}

    def broken(lab, backend):
        part = kind(backend.fleets)
        part.memory, part.lab = memory, lab
        return Altered(backend, fleets=part)

    return Defect(name=name, backend=broken, found_by=found_by)


def fresh_token() -> Token:
    return Token(digest_of("fresh", next(_SERIAL))[:32])


def alive(view) -> tuple:
    return tuple(i for i in view.instances if i.state is not InstanceState.GONE)


class IgnoresTheToken(Over):
    def launch(self, spec, *, token):
        view = self.inner.observe(spec.name)
        size = spec.size + (len(alive(view)) if view else 0)
        self.inner.launch(attrs.evolve(spec, size=size), token=fresh_token())


class ReturnsEarly(Over):
    def launch(self, spec, *, token):
        if spec.size > 1:
            self.inner.launch(attrs.evolve(spec, size=spec.size - 1), token=token)


class TakesHalfForWhole(Over):
    def launch(self, spec, *, token):
        if self.inner.observe(spec.name) is None:
            self.inner.launch(spec, token=token)


class LeaksOnRetire(Over):
    def launch(self, spec, *, token):
        self.memory[spec.name] = spec
        self.inner.launch(spec, token=token)

    def retire(self, fleet, *, token):
        view = self.inner.observe(fleet)
        if view is None or fleet not in self.memory:
            return
        leaving = tuple(i.id for i in view.instances[1:])
        one = attrs.evolve(self.memory[fleet], size=1)
        self.inner.resize(one, remove=leaving, token=token)


class RefusesWhatIsGone(Over):
    def retire(self, fleet, *, token):
        if self.inner.observe(fleet) is None:
            raise BackendError(f"{fleet} does not exist")
        self.inner.retire(fleet, token=token)


class LatestImage(Over):
    def launch(self, spec, *, token):
        latest = self.lab.image("another")
        self.inner.launch(attrs.evolve(spec, image=latest), token=token)


class RetiresNeighbours(Over):
    def retire(self, fleet, *, token):
        service = fleet.rsplit("-", 2)[0]
        for name in sorted({s.fleet for s in self.lab.servers()} | {fleet}):
            if name.startswith(service):
                self.inner.retire(name, token=token)


class LaunchesInPlaceOfOthers(Over):
    def launch(self, spec, *, token):
        others = self.inner.list(service=spec.tags.service, ledger=spec.tags.ledger)
        for view in others:
            if view.name != spec.name:
                self.inner.retire(view.name, token=token)
        self.inner.launch(spec, token=token)


class ShortNames(Over):
    def launch(self, spec, *, token):
        if len(spec.name) > 24:
            raise InvalidInput(f"{spec.name} is too long")
        self.inner.launch(spec, token=token)


class RemovesTheWrongOnes(Over):
    def resize(self, spec, *, remove, token):
        view = self.inner.observe(spec.name)
        others = [i.id for i in view.instances if i.id not in remove]
        self.inner.resize(spec, remove=tuple(others[: len(remove)]), token=token)


class ResizesNothing(Over):
    def resize(self, spec, *, remove, token):
        """Leave the fleet as it is."""


class ScalesIn(Over):
    def resize(self, spec, *, remove, token):
        view = self.inner.observe(spec.name)
        surplus = tuple(i.id for i in view.instances[spec.size :])
        self.inner.resize(spec, remove=remove or surplus, token=token)


class AddsAtEveryResize(Over):
    def resize(self, spec, *, remove, token):
        self.inner.resize(spec, remove=remove, token=token)
        more = len(alive(self.inner.observe(spec.name))) + 1
        if remove:
            grown = attrs.evolve(spec, size=more)
            self.inner.resize(grown, remove=(), token=fresh_token())


class RestartsInPlace(Over):
    def replace(self, spec, *, instance, token):
        """Keep the instance."""


class ReplacesAtEveryCall(Over):
    def replace(self, spec, *, instance, token):
        view = self.inner.observe(spec.name)
        known = [i.id for i in view.instances]
        victim = instance if instance in known else known[0]
        self.inner.replace(spec, instance=victim, token=fresh_token())


_LEAK = (
    "fleets: a retired fleet is gone",
    "deploying: a first release goes live, and ends without a trace",
    "crashing: a deployment that dies anywhere is finished or undone",
    "crashing: a first deployment that dies anywhere leaves all or nothing",
    "crashing: an ending that dies anywhere can be repeated",
)
DEFECTS = (
    fleets(
        "ignores the token",
        IgnoresTheToken,
        "fleets: the same token launches once",
        "fleets: launches at once make one fleet",
    ),
    fleets("returns early", ReturnsEarly, "fleets: launching makes all instances"),
    fleets(
        "takes half a fleet for a whole one",
        TakesHalfForWhole,
        "fleets: a launch that was begun is completed",
    ),
    fleets("leaks on retire", LeaksOnRetire, *_LEAK),
    fleets(
        "retires only what is there",
        RefusesWhatIsGone,
        "fleets: a retired fleet is gone",
    ),
    fleets(
        "launches the latest image",
        LatestImage,
        "fleets: instances say what they were launched from",
        "deploying: a rollback to a fleet that is gone launches it again",
    ),
    fleets(
        "retires neighbours", RetiresNeighbours, "fleets: a neighbour is left alone"
    ),
    fleets(
        "makes room by retiring the fleet that is there",
        LaunchesInPlaceOfOthers,
        "deploying: a second release replaces the first, and a rollback restores it",
    ),
    fleets(
        "refuses long names", ShortNames, "fleets: the longest legal names are accepted"
    ),
    fleets(
        "removes the wrong instances",
        RemovesTheWrongOnes,
        "fleets: only the removed instances go",
    ),
    fleets(
        "resizes nothing",
        ResizesNothing,
        "fleets: only the removed instances go",
        "deploying: a fleet is scaled up and down",
        "crashing: scaling that dies anywhere is finished or undone",
    ),
    fleets(
        "scales in by itself", ScalesIn, "fleets: a smaller size alone destroys nothing"
    ),
    fleets(
        "adds one at every resize",
        AddsAtEveryResize,
        "fleets: the same token resizes once",
    ),
    fleets(
        "restarts in place",
        RestartsInPlace,
        "fleets: a replaced instance gives way to a new one",
        "deploying: a dead instance is healed",
    ),
    fleets(
        "replaces at every call",
        ReplacesAtEveryCall,
        "fleets: the same token replaces once",
    ),
)
