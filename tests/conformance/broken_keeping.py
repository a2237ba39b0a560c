"""Backends whose roots, documents, sweeping or adopting break the contract."""

# ruff: noqa: D101 - what is wrong with each is said in DEFECTS, at the end

import shutil
import tempfile
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import attrs
from broken import Defect, Over, folder
from broken_images import Flapping, another_error, images

from immutable.errors import InvalidInput


class EmptyRoot(Over):
    @contextmanager
    def root(self, image):
        with self.inner.root(image), tempfile.TemporaryDirectory() as path:
            yield Path(path)


class RootStays(Over):
    @contextmanager
    def root(self, image):
        with self.inner.root(image) as path:
            yield shutil.copytree(path, folder() / "root")


class RootStaysAfterErrors(Over):
    @contextmanager
    def root(self, image):
        with self.inner.root(image) as path:
            copy = shutil.copytree(path, folder() / "root")
        yield copy
        shutil.rmtree(copy)


class OneRoot(Over):
    """Unpacks an image once, and hands the same directory out each time."""

    def __init__(self, inner):
        super().__init__(inner)
        self.cache = {}

    @contextmanager
    def root(self, image):
        with self.inner.root(image) as path:
            shown = folder() / "root"
            cached = self.cache.get(image)
            if cached:
                cached.rename(shown)
            else:
                shutil.copytree(path, shown)
        try:
            yield shown
        finally:
            self.cache[image] = shown.rename(folder() / "root")


class RootOfAnything(Over):
    @contextmanager
    def root(self, image):
        with tempfile.TemporaryDirectory() as path:
            if self.inner.find(image) is None:
                yield Path(path)
                return
            with self.inner.root(image) as found:
                yield found


class WritesOver(Over):
    def keep(self, image, name, content):
        old = self.inner.kept(image, name) or b""
        self.inner.keep(image, name, content + old[len(content) :])


class KeepsOnce(Over):
    def keep(self, image, name, content):
        if self.inner.kept(image, name) is None:
            self.inner.keep(image, name, content)


class OneDocument(Over):
    def keep(self, image, name, content):
        self.inner.keep(image, "sbom.json", content)

    def kept(self, image, name):
        return self.inner.kept(image, "sbom.json")


class OneForAll(Over):
    def keep(self, image, name, content):
        self.inner.keep("all", name, content)

    def kept(self, image, name):
        return self.inner.kept("all", name)


class EmptyDocuments(Over):
    def kept(self, image, name):
        return self.inner.kept(image, name) or b""


class DocumentsDieToo(Over):
    def kept(self, image, name):
        return self.inner.kept(image, name) if self.inner.find(image) else None


class DocumentsInTheObject(Over):
    def __init__(self, inner):
        super().__init__(inner)
        self.documents = {}

    def keep(self, image, name, content):
        self.documents[image, name] = content

    def kept(self, image, name):
        return self.documents.get((image, name))


class SweepsNothing(Over):
    def sweep(self):
        return ()


class NamesItAgain(Over):
    def __init__(self, inner):
        super().__init__(inner)
        self.names = ()

    def sweep(self):
        self.names += self.inner.sweep()
        return self.names


class SweepsWhatIsWhole(Over):
    def sweep(self):
        for image in self.inner.list():
            self.inner.delete(image.id)
        return self.inner.sweep()


class SweepsDocuments(Over):
    def __init__(self, inner):
        super().__init__(inner)
        self.swept = False

    def sweep(self):
        self.swept = True
        return self.inner.sweep()

    def kept(self, image, name):
        return None if self.swept else self.inner.kept(image, name)


class SweepsWhatIsBegun(Over):
    def __init__(self, inner):
        super().__init__(inner)
        self.begun, self.lost = 0, False

    def build(self, recipe, *, on_output):
        self.begun += 1
        image = self.inner.build(recipe, on_output=on_output)
        self.begun -= 1
        if self.lost:
            self.inner.delete(image.id)
        return image

    def sweep(self):
        self.lost = self.begun > 0
        return self.inner.sweep()


class AdoptsByReference(Over):
    """Boots the disk from where Packer has put it."""

    def __init__(self, inner):
        super().__init__(inner)
        self.places = {}

    def adopt(self, manifest):
        image = self.inner.adopt(manifest)
        self.places[image.id] = manifest
        return image

    def find(self, image):
        place = self.places.get(image)
        return self.inner.find(image) if place is None or place.exists() else None


class AdoptsAnew(Over):
    def __init__(self, inner):
        super().__init__(inner)
        self.numbers = count()

    def adopt(self, manifest):
        image = self.inner.adopt(manifest)
        return attrs.evolve(image, id=f"{image.id}-{next(self.numbers)}")


class AdoptsWithAnotherError(Over):
    def adopt(self, manifest):
        with another_error(InvalidInput, f"{manifest} cannot be imported"):
            return self.inner.adopt(manifest)


UNPLACED = "records: the root of an image can be read"
APART = "records: documents are told apart"
AWAY = "records: a root is gone afterwards"
WHOLE = "records: a document is kept whole"
NOT_KEPT = "records: what was not kept is not there"
CAREFUL = "records: a sweep takes nothing that is whole"
ANEW = "records: records and documents outlive the process"
DEFECTS = (
    images("shows an empty root", EmptyRoot, UNPLACED),
    images("leaves roots behind", RootStays, AWAY),
    images("leaves roots behind after errors", RootStaysAfterErrors, AWAY),
    images("hands out one root", OneRoot, "records: a root changes no image"),
    images(
        "has a root of anything",
        RootOfAnything,
        "records: what is not there has no root",
    ),
    images("writes documents over older ones", WritesOver, WHOLE),
    images("keeps the first document", KeepsOnce, WHOLE),
    images("keeps one document of an image", OneDocument, APART, NOT_KEPT),
    images("keeps one document for all", OneForAll, APART, NOT_KEPT),
    images("has empty documents", EmptyDocuments, NOT_KEPT),
    images(
        "forgets documents of deleted images",
        DocumentsDieToo,
        "records: documents stay when the image is deleted",
    ),
    images("remembers documents in the object", DocumentsInTheObject, ANEW),
    images(
        "sweeps nothing",
        SweepsNothing,
        "records: what a killed build left is swept",
    ),
    images(
        "names what is swept again",
        NamesItAgain,
        "records: sweeping again finds nothing",
    ),
    images("sweeps images", SweepsWhatIsWhole, CAREFUL),
    images("sweeps documents", SweepsDocuments, CAREFUL),
    images(
        "sweeps what is begun",
        SweepsWhatIsBegun,
        "records: a sweep leaves a build alone",
    ),
    images(
        "adopts by reference",
        AdoptsByReference,
        "images: an artefact is adopted as a copy",
    ),
    images(
        "adopts an image anew each time",
        AdoptsAnew,
        "images: the same artefact is the same image",
    ),
    images(
        "refuses manifests with another error",
        AdoptsWithAnotherError,
        "images: what is no manifest is not adopted",
    ),
    Defect(
        name="adopts though it says that it does not",
        backend=lambda lab, b: Flapping(b, lab, adopts_artefacts=False),
        found_by=("images: adopting that is not declared is refused",),
    ),
)
