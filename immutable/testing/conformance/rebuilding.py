"""Cases of `immutable.records.ImageRecords`: images made again, and documents beside them."""

from immutable.errors import UnknownImage
from immutable.images.record import Kept
from immutable.testing.conformance.case import Part
from immutable.testing.conformance.suite import case, each, reopenable
from immutable.testing.conformance.trial import Trial
from immutable.testing.conformance.workshop import unknown, with_records, workshop

_BILL: Kept = "sbom.json"
_PROOF: Kept = "proof.json"
_LONG, _SHORT = b'{"long": "document"}' * 100, b"{}\x00\xff"


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
        record = shop.records.record(image.id)
        shop.lose_files()
        again = shop.rebuild(image)
        t.expect(again.digest == image.digest, f"digest {image.digest}", again)
        found = t.backend.images.find(image.id)
        t.expect(found == image, f"{image}", found)
        known = shop.records.record(image.id)
        t.expect(known == record, f"{record}", known)


@case(
    Part.RECORDS,
    "a deleted image is there again when it is rebuilt",
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
            kept = shop.records.kept(image.id, _BILL)
            t.expect(kept == document, f"{document!r}", kept)


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
        kept = shop.records.kept(image.id, _BILL)
        t.expect(kept == _LONG, f"{_LONG!r}", kept)


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
        record = shop.records.record(image.id)
        shop.records.keep(image.id, _BILL, _LONG)
        t.backend.images.delete(image.id)
        shop.reopen()
        known = shop.records.record(image.id)
        t.expect(known == record, f"{record}", known)
        kept = shop.records.kept(image.id, _BILL)
        t.expect(kept == _LONG, f"{_LONG!r}", kept)
