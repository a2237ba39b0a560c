"""Cases of `immutable.records.ImageRecords`: images made again, documents, and sweeping."""

import tempfile
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

from immutable.errors import UnknownImage
from immutable.images.record import Kept
from immutable.testing.conformance.case import (
    Fit,
    Part,
    Terms,
    not_applicable,
)
from immutable.testing.conformance.suite import case, each, reopenable
from immutable.testing.conformance.trial import Trial
from immutable.testing.conformance.workshop import (
    own_file,
    text_of,
    unknown,
    with_records,
    workshop,
)

_BILL: Kept = "sbom.json"
_PROOF: Kept = "proof.json"
_LONG, _SHORT = b'{"long": "document"}' * 100, b"{}\x00\xff"
_PATIENCE_S = 1.0
"""So long a build is held up for a sweep that may be waiting for the build."""


def with_accidents(terms: Terms) -> Fit:
    """Apply where a build can be killed."""
    if terms.subject.abandon is None:
        return not_applicable("the subject cannot let builds be killed")
    return with_records(terms)


@case(
    Part.RECORDS,
    "the recipe of an image makes it again",
    "ImageRecords.recipe: its layers and its lock are those of the record; it can be"
    " branched, and a build of it makes the same image",
    fit=with_records,
)
def recipe_again(t: Trial) -> None:
    """Lose the files, have them laid out elsewhere, and build: there is nothing to do."""
    with workshop(t) as shop, tempfile.TemporaryDirectory() as folder:
        asked = shop.recipe()
        image, said = shop.build(asked), text_of(asked)
        shop.lose_files()
        found = shop.records.recipe(image.id, Path(folder))
        t.expect(text_of(found) == said, said, text_of(found))
        t.expect(own_file(found).target == own_file(asked).target, "its place", found)
        again = shop.build(found)
        t.expect(again.digest == image.digest, f"digest {image.digest}", again)
        branch = shop.build(found.service("more", "/bin/true"))
        t.expect(branch.digest != image.digest, "another image", branch)


@case(
    Part.RECORDS,
    "the recipe of an unknown image is refused",
    "ImageRecords.recipe: raises UnknownImage where nothing is known of the image",
    fit=with_records,
)
def unknown_recipe(t: Trial) -> None:
    """Ask for what nobody has made."""
    with workshop(t) as shop, tempfile.TemporaryDirectory() as folder:
        t.refused(
            lambda: shop.records.recipe(unknown(t), Path(folder)),
            UnknownImage,
            what="the recipe of what nobody knows",
        )


@case(
    Part.RECORDS,
    "a rebuilt image is identical",
    "ImageRecords.rebuild: build an image again from its record alone; neither the"
    " recipe's local files nor any built layer are needed or used",
    fit=with_records,
)
def rebuilds(t: Trial) -> None:
    """Lose the recipe's files, and build the image again while it is there."""
    with workshop(t) as shop:
        image = shop.build()
        record = shop.record(image)
        shop.lose_files()
        again = shop.rebuild(image)
        t.expect(again.digest == image.digest, f"digest {image.digest}", again)
        shop.expect_there(image)
        shop.expect_record(record)


@case(
    Part.RECORDS,
    "a rebuilt image is there again if it was deleted",
    "ImageRecords.rebuild: then: where it came out identical and the image was gone, it is"
    " there again",
    fit=with_records,
)
def brings_back(t: Trial) -> None:
    """Delete an image, lose the recipe's files, and build it again."""
    with workshop(t) as shop:
        recipe = shop.recipe()
        image = shop.build(recipe)
        text = shop.content(image, recipe)
        t.backend.images.delete(image.id)
        shop.lose_files()
        shop.rebuild(image)
        found = t.backend.images.find(image.id)
        if found is None:
            t.fail(f"to find {image.id}", found)
        t.expect(found.digest == image.digest, f"digest {image.digest}", found)
        again = shop.content(image, recipe)
        t.expect(again == text, f"its file: {text}", again)


@case(
    Part.RECORDS,
    "what nobody knows is not rebuilt",
    "ImageRecords.rebuild: raises UnknownImage: nothing is known of it",
    fit=with_records,
)
def rebuilds_nothing(t: Trial) -> None:
    """Ask for an image that never was."""
    with workshop(t) as shop:
        t.refused(
            lambda: shop.records.rebuild(unknown(t), on_output=lambda _line: None),
            UnknownImage,
            what="building what nobody knows",
        )


@case(
    Part.RECORDS,
    "a document is kept whole",
    "ImageRecords.keep: again: an older one is replaced whole",
    fit=with_records,
)
def keeps(t: Trial) -> None:
    """Keep a long document, then a short one of the same name."""
    with workshop(t) as shop:
        image = shop.build()
        for document in (_LONG, _SHORT, _SHORT):
            shop.records.keep(image.id, _BILL, document)
            shop.expect_kept(image, _BILL, document)


@case(
    Part.RECORDS,
    "documents are told apart",
    "ImageRecords.keep: then: kept returns it, for this image and this name only",
    fit=with_records,
)
def tells_apart(t: Trial) -> None:
    """Keep a document of each of two images, and another of one."""
    with workshop(t) as shop:
        one, other = shop.build().id, shop.build().id
        shop.records.keep(one, _BILL, _LONG)
        shop.records.keep(other, _BILL, _SHORT)
        shop.records.keep(one, _PROOF, b"proof")
        places = ((one, _BILL), (other, _BILL), (one, _PROOF))
        kept = [shop.records.kept(image, name) for image, name in places]
        t.expect(kept == [_LONG, _SHORT, b"proof"], "each its own", kept)


@case(
    Part.RECORDS,
    "what was not kept is not there",
    "ImageRecords.kept: None when none was kept under this name",
    fit=with_records,
)
def keeps_nothing_else(t: Trial) -> None:
    """Look for documents of an image that has another, and of one that never was."""
    with workshop(t) as shop:
        image = shop.build().id
        shop.records.keep(image, _BILL, _LONG)
        for place in ((image, _PROOF), (unknown(t), _BILL)):
            kept = shop.records.kept(*place)
            t.expect(kept is None, f"None for {place}", kept)


@case(
    Part.RECORDS,
    "documents stay when the image is deleted",
    "ImageRecords.keep: then: kept returns it also when the image is deleted",
    fit=with_records,
)
def outlives_the_image(t: Trial) -> None:
    """Keep a document, and delete the image."""
    with workshop(t) as shop:
        image = shop.build()
        shop.records.keep(image.id, _BILL, _LONG)
        t.backend.images.delete(image.id)
        shop.expect_kept(image, _BILL, _LONG)


@case(
    Part.RECORDS,
    "records and documents outlive the process",
    "ImageRecords: what is kept outlives the images, and is there when the backend is"
    " opened anew",
    fit=each(reopenable, with_records),
)
def outlives_the_process(t: Trial) -> None:
    """Keep a document, delete the image, and look as another process would."""
    with workshop(t) as shop:
        image = shop.build()
        record = shop.record(image)
        shop.records.keep(image.id, _BILL, _LONG)
        t.backend.images.delete(image.id)
        shop.reopen()
        shop.expect_record(record)
        shop.expect_kept(image, _BILL, _LONG)


@case(
    Part.RECORDS,
    "what a killed build left is swept",
    "ImageRecords.sweep: remove what killed builds left behind, and return the names of"
    " what was removed",
    fit=with_accidents,
)
def sweeps(t: Trial) -> None:
    """Let a build be killed, and sweep."""
    with workshop(t) as shop:
        shop.records.sweep()
        t.abandon()
        names = shop.records.sweep()
        t.expect(bool(names) and all(names), "the name of what was left", names)


@case(
    Part.RECORDS,
    "sweeping again finds nothing",
    "ImageRecords.sweep: again: returns nothing",
    fit=with_records,
)
def sweeps_once(t: Trial) -> None:
    """Sweep twice, after a build was killed where that can be."""
    with workshop(t) as shop:
        if t.subject.abandon is not None:
            t.abandon()
        shop.records.sweep()
        names = shop.records.sweep()
        t.expect(names == (), "nothing", names)


@case(
    Part.RECORDS,
    "a sweep takes nothing that is whole",
    "ImageRecords.sweep: then: whole images, records and documents stay",
    fit=with_records,
)
def sweeps_carefully(t: Trial) -> None:
    """Sweep where there is an image, and the record and a document of one that is gone."""
    with workshop(t) as shop:
        recipe = shop.recipe()
        image, gone = shop.build(recipe), shop.build()
        record = shop.record(gone)
        shop.records.keep(gone.id, _BILL, _LONG)
        t.backend.images.delete(gone.id)
        shop.records.sweep()
        shop.expect_there(image)
        shop.expect_content(image, recipe)
        shop.expect_record(record)
        shop.expect_kept(gone, _BILL, _LONG)


@case(
    Part.RECORDS,
    "a sweep leaves a build alone",
    "ImageRecords.sweep: then: a build in progress loses nothing",
    fit=with_records,
)
def sweeps_beside(t: Trial) -> None:
    """Sweep in the middle of a build: whenever it says something."""
    with workshop(t) as shop, ThreadPoolExecutor(1) as beside:
        swept: list[Future[tuple[str, ...]]] = []

        def sweep(_line: str) -> None:
            swept.append(beside.submit(shop.records.sweep))
            wait(swept[-1:], _PATIENCE_S)

        recipe = shop.recipe()
        image = shop.build(recipe, on_output=sweep)
        names = [name for future in swept for name in future.result()]
        found = t.backend.images.find(image.id)
        t.expect(found == image, f"{image}, and {names} are not of it", found)
        shop.expect_content(image, recipe)
