"""Backends whose images, fleets or logs break the contract."""

# ruff: noqa: D101, D103 - what is wrong with each is said in DEFECTS, at the end

import tempfile
from datetime import timedelta
from itertools import count

import attrs
from broken import Altered, Defect, Over

from immutable.errors import BackendError, InvalidInput
from immutable.model import (
    Digest,
    FleetView,
    ImageId,
    InstanceLog,
    InstanceState,
    Token,
    digest_of,
)

_SERIAL = count()
_ASKED: dict[str, int] = {}


def fleets(kind: type[Over]):
    """Return what makes a backend with such fleets; its objects share their memory."""
    memory: dict[str, object] = {}

    def broken(lab, backend):
        part = kind(backend.fleets)
        part.memory, part.lab = memory, lab
        return Altered(backend, fleets=part)

    return broken


def part(name: str, kind: type[Over]):
    """Return what makes a backend with one part exchanged."""
    return lambda _lab, backend: Altered(
        backend, **{name: kind(getattr(backend, name))}
    )


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


class EmptyInsteadOfNone(Over):
    def observe(self, fleet):
        return self.inner.observe(fleet) or FleetView(name=fleet, instances=())


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


class LosesTags(Over):
    def list(self, *, service, ledger):
        views = self.inner.list(service=service, ledger=ledger)
        return tuple(attrs.evolve(view, tags=view.tags[:1]) for view in views)


class WrongDigest(Over):
    def observe(self, fleet):
        view = self.inner.observe(fleet)
        if view is None:
            return None
        wrong = tuple(attrs.evolve(i, digest="0" * 16) for i in view.instances)
        return attrs.evolve(view, instances=wrong)


class LatestImage(Over):
    def launch(self, spec, *, token):
        latest = self.lab.image("another")
        self.inner.launch(attrs.evolve(spec, image=latest), token=token)


class LooksByPrefix(Over):
    def observe(self, fleet):
        view = self.inner.observe(fleet)
        prefix = fleet.rsplit("-", 2)[0]
        near = [s for s in self.lab.servers() if s.fleet.startswith(prefix)]
        return view and attrs.evolve(view, instances=tuple(near))


class IgnoresTheLedger(Over):
    def launch(self, spec, *, token):
        self.memory[spec.tags.ledger] = spec
        self.inner.launch(spec, token=token)

    def list(self, *, service, ledger):
        found = [
            self.inner.list(service=service, ledger=known) for known in self.memory
        ]
        return tuple(
            sorted((v for views in found for v in views), key=lambda v: v.name)
        )


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


class StaleForEver(Over):
    def observe(self, fleet):
        view = self.inner.observe(fleet)
        if view is not None:
            self.memory.setdefault(fleet, view)
        return self.memory.get(fleet)


class ComesBack(Over):
    def retire(self, fleet, *, token):
        view = self.inner.observe(fleet)
        self.inner.retire(fleet, token=token)
        self.memory[fleet] = [None, None, view]

    def observe(self, fleet):
        later = self.memory.get(fleet)
        return later.pop(0) if later else self.inner.observe(fleet)


class ShortNames(Over):
    def launch(self, spec, *, token):
        if len(spec.name) > 24:
            raise InvalidInput(f"{spec.name} is too long")
        self.inner.launch(spec, token=token)


class FirstPageOnly(Over):
    def observe(self, fleet):
        view = self.inner.observe(fleet)
        return view and attrs.evolve(view, instances=view.instances[:50])


class SamePageTwice(Over):
    def observe(self, fleet):
        view = self.inner.observe(fleet)
        if view is None or len(view.instances) <= 50:
            return view
        twice = (*view.instances[:50], *view.instances[:50])
        return attrs.evolve(view, instances=twice)


class RemembersInTheObject(Over):
    def __init__(self, inner):
        super().__init__(inner)
        self.own = set()

    def launch(self, spec, *, token):
        self.own.add(spec.name)
        self.inner.launch(spec, token=token)

    def observe(self, fleet):
        return self.inner.observe(fleet) if fleet in self.own else None


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


class TakesTheDeadForAlive(Over):
    def observe(self, fleet):
        view = self.inner.observe(fleet)
        if view is None:
            return None
        up = tuple(attrs.evolve(i, state=InstanceState.RUNNING) for i in view.instances)
        return attrs.evolve(view, instances=up)


class RaisesKeyError(Over):
    def observe(self, fleet):
        return {"": None}.get(fleet) if fleet == "x" else self._look(fleet)

    def _look(self, fleet):
        view = self.inner.observe(fleet)
        if view is None:
            raise KeyError(fleet)
        return view


class ResolvesAliases(Over):
    def find(self, image):
        return self.inner.find(ImageId("another" if image == "latest" else image))


class DigestOfTheDay(Over):
    def find(self, image):
        found = self.inner.find(image)
        new = Digest(digest_of("digest", next(_SERIAL)))
        return found and attrs.evolve(found, digest=new)


class OneDigest(Over):
    def find(self, image):
        found = self.inner.find(image)
        return found and attrs.evolve(found, digest=Digest(digest_of("all")))

    def build(self, recipe, *, on_output):
        built = self.inner.build(recipe, on_output=on_output)
        return attrs.evolve(built, digest=Digest(digest_of("all")))


class BuildsAgain(Over):
    def build(self, recipe, *, on_output):
        on_output("building")
        return self.inner.build(recipe, on_output=on_output)


class DeletesOnce(Over):
    def delete(self, image):
        if self.inner.find(image) is None:
            raise BackendError(f"no image {image}")
        self.inner.delete(image)


class NoLogsNoFleet(Over):
    def read(self, fleet, *, tail_bytes):
        logs = self.inner.read(fleet, tail_bytes=tail_bytes)
        if not logs:
            raise BackendError(f"no logs of {fleet}")
        return logs


class WholeLogsBackwards(Over):
    def read(self, fleet, *, tail_bytes):
        return tuple(reversed(self.inner.read(fleet, tail_bytes=1 << 20)))


class LogsDieToo(Over):
    def __init__(self, inner):
        super().__init__(inner.logs)
        self.fleets = inner.fleets

    def read(self, fleet, *, tail_bytes):
        if self.fleets.observe(fleet) is None:
            return ()
        return self.inner.read(fleet, tail_bytes=tail_bytes)


class SaysWhatItCannotKnow(Over):
    def read(self, fleet, *, tail_bytes):
        made_up = InstanceLog(instance="i-1", fleet=fleet, console="booted", journal="")
        return self.inner.read(fleet, tail_bytes=tail_bytes) or (made_up,)


class Flapping(Over):
    """Declares something else until it is believed."""

    def __init__(self, inner, lab, **changed):
        super().__init__(inner)
        self.lab, self.changed = lab, changed

    @property
    def capabilities(self):
        # once when its shape is checked, and once when it is asked
        asked = _ASKED[self.lab.name] = _ASKED.get(self.lab.name, 0) + 1
        declared = self.inner.capabilities
        return attrs.evolve(declared, **self.changed) if asked <= 2 else declared


def flapping(inner, lab, **changed):
    """Return one of a class of its own: shapes are checked once for each class."""
    return type("Flapping", (Flapping,), {})(inner, lab, **changed)


class Misnamed(Over):
    name = "My Cloud"


class Chatty(Over):
    def preflight(self, need):
        return (*self.inner.preflight(need), "two\nlines")


def touching(_lab, backend):
    """Open with a directory."""
    tempfile.TemporaryDirectory().cleanup()
    return backend


_LEAK = (
    "fleets: a retired fleet is gone",
    "deploying: a first release goes live, and ends without a trace",
    "crashing: a deployment that dies anywhere is finished or undone",
    "crashing: a first deployment that dies anywhere leaves all or nothing",
    "crashing: an ending that dies anywhere can be repeated",
)
DEFECTS = (
    Defect(
        name="ignores the token",
        backend=fleets(IgnoresTheToken),
        found_by=(
            "fleets: the same token launches once",
            "fleets: launches at once make one fleet",
        ),
    ),
    Defect(
        name="returns early",
        backend=fleets(ReturnsEarly),
        found_by=("fleets: launching makes all instances",),
    ),
    Defect(
        name="takes half a fleet for a whole one",
        backend=fleets(TakesHalfForWhole),
        found_by=("fleets: a launch that was begun is completed",),
    ),
    Defect(
        name="observes an empty fleet instead of none",
        backend=fleets(EmptyInsteadOfNone),
        found_by=("fleets: an unknown fleet is observed as None",),
    ),
    Defect(name="leaks on retire", backend=fleets(LeaksOnRetire), found_by=_LEAK),
    Defect(
        name="retires only what is there",
        backend=fleets(RefusesWhatIsGone),
        found_by=("fleets: a retired fleet is gone",),
    ),
    Defect(
        name="loses tags",
        backend=fleets(LosesTags),
        found_by=("fleets: tags are exact, and found without the ledger",),
    ),
    Defect(
        name="reports a wrong digest",
        backend=fleets(WrongDigest),
        found_by=("fleets: instances say what they were launched from",),
    ),
    Defect(
        name="launches the latest image",
        backend=fleets(LatestImage),
        found_by=(
            "fleets: instances say what they were launched from",
            "deploying: a rollback to a fleet that is gone launches it again",
        ),
    ),
    Defect(
        name="looks for instances by prefix",
        backend=fleets(LooksByPrefix),
        found_by=("fleets: no two fleets share an instance",),
    ),
    Defect(
        name="lists other ledgers' fleets",
        backend=fleets(IgnoresTheLedger),
        found_by=("fleets: only fleets with both tags are listed",),
    ),
    Defect(
        name="retires neighbours",
        backend=fleets(RetiresNeighbours),
        found_by=("fleets: a neighbour is left alone",),
    ),
    Defect(
        name="makes room by retiring the fleet that is there",
        backend=fleets(LaunchesInPlaceOfOthers),
        found_by=(
            "deploying: a second release replaces the first, and a rollback restores it",
        ),
    ),
    Defect(
        name="is stale for ever",
        backend=fleets(StaleForEver),
        found_by=("fleets: what has changed is seen in time",),
    ),
    Defect(
        name="comes back after its end",
        backend=fleets(ComesBack),
        found_by=("fleets: what was retired does not come back",),
    ),
    Defect(
        name="refuses long names",
        backend=fleets(ShortNames),
        found_by=("fleets: the longest legal names are accepted",),
    ),
    Defect(
        name="reads the first page only",
        backend=fleets(FirstPageOnly),
        found_by=("fleets: big fleets are seen whole",),
    ),
    Defect(
        name="reads the same page twice",
        backend=fleets(SamePageTwice),
        found_by=("fleets: big fleets are seen whole",),
    ),
    Defect(
        name="remembers in the object",
        backend=fleets(RemembersInTheObject),
        found_by=("fleets: another process sees the same",),
    ),
    Defect(
        name="removes the wrong instances",
        backend=fleets(RemovesTheWrongOnes),
        found_by=("fleets: only the removed instances go",),
    ),
    Defect(
        name="resizes nothing",
        backend=fleets(ResizesNothing),
        found_by=(
            "fleets: only the removed instances go",
            "deploying: a fleet is scaled up and down",
            "crashing: scaling that dies anywhere is finished or undone",
        ),
    ),
    Defect(
        name="scales in by itself",
        backend=fleets(ScalesIn),
        found_by=("fleets: a smaller size alone destroys nothing",),
    ),
    Defect(
        name="adds one at every resize",
        backend=fleets(AddsAtEveryResize),
        found_by=("fleets: the same token resizes once",),
    ),
    Defect(
        name="restarts in place",
        backend=fleets(RestartsInPlace),
        found_by=(
            "fleets: a replaced instance gives way to a new one",
            "deploying: a dead instance is healed",
        ),
    ),
    Defect(
        name="replaces at every call",
        backend=fleets(ReplacesAtEveryCall),
        found_by=("fleets: the same token replaces once",),
    ),
    Defect(
        name="takes the dead for alive",
        backend=fleets(TakesTheDeadForAlive),
        found_by=("fleets: a dead instance is seen as gone, and replaced",),
    ),
    Defect(
        name="raises a bare KeyError",
        backend=fleets(RaisesKeyError),
        found_by=("opening: errors are of this library's tree",),
    ),
    Defect(
        name="resolves aliases",
        backend=part("images", ResolvesAliases),
        found_by=("images: other ids find nothing",),
    ),
    Defect(
        name="gives another digest each time",
        backend=part("images", DigestOfTheDay),
        found_by=("images: an image is found by its exact id",),
    ),
    Defect(
        name="gives all images one digest",
        backend=part("images", OneDigest),
        found_by=("images: different images have different digests",),
    ),
    Defect(
        name="builds again",
        backend=part("images", BuildsAgain),
        found_by=("images: the same recipe is built once",),
    ),
    Defect(
        name="deletes only once",
        backend=part("images", DeletesOnce),
        found_by=(
            "images: deleting is repeat-safe",
            "images: deleting what never was is no error",
        ),
    ),
    Defect(
        name="has no logs of nobody",
        backend=part("logs", NoLogsNoFleet),
        found_by=("logs: a fleet that nobody knows has no logs",),
    ),
    Defect(
        name="reads whole logs, backwards",
        backend=part("logs", WholeLogsBackwards),
        found_by=("logs: each instance's log is read, in order, and cut",),
    ),
    Defect(
        name="loses logs with their fleet",
        backend=lambda _lab, backend: Altered(backend, logs=LogsDieToo(backend)),
        found_by=("logs: logs stay when the fleet is retired",),
    ),
    Defect(
        name="makes logs up",
        options="keeps_logs=no",
        backend=part("logs", SaysWhatItCannotKnow),
        found_by=("logs: logs that are not kept are empty",),
    ),
    Defect(
        name="declares something else each time",
        backend=lambda lab, b: flapping(b, lab, staleness=timedelta(microseconds=1)),
        found_by=("opening: capabilities do not change",),
    ),
    Defect(
        name="builds though it says that it cannot",
        backend=lambda lab, b: flapping(b, lab, builds_images=False),
        found_by=("images: building that is not declared is refused",),
    ),
    Defect(
        name="has a name that is no scheme",
        backend=lambda _lab, backend: Misnamed(backend),
        found_by=("opening: a backend says what it is",),
    ),
    Defect(
        name="warns in several lines",
        backend=lambda _lab, backend: Chatty(backend),
        found_by=("opening: preflight looks and touches nothing",),
    ),
    Defect(
        name="makes a directory when it is opened",
        backend=touching,
        found_by=("opening: opening a backend touches nothing",),
    ),
)
