"""Backends whose images, logs or declarations break the contract."""

# ruff: noqa: D101 - what is wrong with each is said in DEFECTS, at the end

import functools
import tempfile
from contextlib import contextmanager
from datetime import timedelta
from itertools import count

import attrs
from broken import OPENED, Altered, Defect, Over

from immutable.errors import BackendError
from immutable.model import Digest, ImageId, InstanceLog, digest_of

_SERIAL = count()


def part(
    which: str, name: str, kind: type[Over], *found_by: str, options: str = ""
) -> Defect:
    """Return a defect of one part of a backend."""

    def broken(_lab, sound):
        return Altered(sound, **{which: kind(getattr(sound, which))})

    return Defect(name=name, backend=broken, found_by=found_by, options=options)


images = functools.partial(part, "images")
logs = functools.partial(part, "logs")


@contextmanager
def another_error(kind: type[Exception], said: str):
    """Raise an error that the contract does not name in the place of one that it does."""
    try:
        yield
    except kind as exc:
        raise BackendError(said) from exc


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
    """Declares something else until it is believed: so many switches are open then."""

    def __init__(self, inner, lab, switches=1, **changed):
        super().__init__(inner)
        self.lab, self.switches, self.changed = lab, switches, changed

    @property
    def capabilities(self):
        declared = self.inner.capabilities
        if OPENED[self.lab.name] >= self.switches:
            return declared
        return attrs.evolve(declared, **self.changed)


class Misnamed(Over):
    name = "My Cloud"


class Chatty(Over):
    def preflight(self, need):
        return (*self.inner.preflight(need), "two\nlines")


def touching(_lab, backend):
    """Open with a directory."""
    tempfile.TemporaryDirectory().cleanup()
    return backend


DEFECTS = (
    images("resolves aliases", ResolvesAliases, "images: other ids find nothing"),
    images(
        "gives another digest each time",
        DigestOfTheDay,
        "images: an image is found by its exact id",
    ),
    images(
        "gives all images one digest",
        OneDigest,
        "images: different images have different digests",
    ),
    images("builds again", BuildsAgain, "images: the same recipe is built once"),
    images(
        "deletes only once",
        DeletesOnce,
        "images: deleting is repeat-safe",
        "images: deleting what never was is no error",
    ),
    logs(
        "has no logs of nobody",
        NoLogsNoFleet,
        "logs: a fleet that nobody knows has no logs",
    ),
    logs(
        "reads whole logs, backwards",
        WholeLogsBackwards,
        "logs: each instance's log is read, in order, and cut",
    ),
    Defect(
        name="loses logs with their fleet",
        backend=lambda _lab, backend: Altered(backend, logs=LogsDieToo(backend)),
        found_by=("logs: logs stay when the fleet is retired",),
    ),
    logs(
        "makes logs up",
        SaysWhatItCannotKnow,
        "logs: logs that are not kept are empty",
        options="keeps_logs=no",
    ),
    Defect(
        name="declares something else each time",
        backend=lambda lab, b: Flapping(b, lab, staleness=timedelta(microseconds=1)),
        found_by=("opening: capabilities do not change",),
    ),
    Defect(
        name="builds though it says that it cannot",
        backend=lambda lab, b: Flapping(b, lab, builds_images=False),
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
