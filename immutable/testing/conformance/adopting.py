"""Cases of `immutable.records.Artefacts`: images that other tools have made."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from immutable.errors import InvalidInput, Unsupported
from immutable.model import Image
from immutable.records import Artefacts
from immutable.testing.conformance.case import (
    APPLIES,
    Fit,
    Part,
    Terms,
    not_applicable,
)
from immutable.testing.conformance.suite import case, declares, each, lacks
from immutable.testing.conformance.trial import Trial

_STRANGE = ("", "no manifest", "[]", "{}", '{"builds": [], "last_run_uuid": "1"}')


def with_artefact(terms: Terms) -> Fit:
    """Apply where there is something to adopt."""
    if terms.subject.artefact is None:
        return not_applicable("the subject has no artefact")
    return APPLIES


adopting = declares("backend", "adopts_artefacts")


@case(
    Part.IMAGES,
    "an artefact is adopted as a copy",
    "Artefacts.adopt: then: it is the backend's own copy, and Images.find returns it",
    fit=each(adopting, with_artefact),
)
def adopts(t: Trial) -> None:
    """Adopt an artefact that is deleted then."""
    with _copy(t) as manifest:
        image = _adopt(t, manifest)
    try:
        found = t.backend.images.find(image.id)
        t.expect(found == image, f"{image}", found)
    finally:
        t.backend.images.delete(image.id)


@case(
    Part.IMAGES,
    "the same artefact is the same image",
    "Artefacts.adopt: again: the same artefact is the same image",
    fit=each(adopting, with_artefact),
)
def adopts_once(t: Trial) -> None:
    """Adopt an artefact from two places."""
    with _copy(t) as here, _copy(t) as there:
        image = _adopt(t, here)
        try:
            again = _adopt(t, there)
            t.expect(again == image, f"{image}", again)
        finally:
            t.backend.images.delete(image.id)


@case(
    Part.IMAGES,
    "what is no manifest is not adopted",
    "Artefacts.adopt: raises InvalidInput: it is no such manifest",
    fit=adopting,
)
def adopts_nothing_else(t: Trial) -> None:
    """Offer files with something else in them, and one that is not there."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "manifest.json"
        for text in (None, *_STRANGE):
            if text is not None:
                path.write_text(text, encoding="utf-8")
            t.refused(
                lambda: _adopt(t, path), InvalidInput, what=f"a manifest {text!r}"
            )


@case(
    Part.IMAGES,
    "adopting that is not declared is refused",
    "Capabilities.adopts_artefacts: images also has the method of Artefacts",
    fit=lacks("backend", "adopts_artefacts"),
)
def refuses_to_adopt(t: Trial) -> None:
    """Ask the library to adopt: it refuses without asking the backend."""
    error = t.refused(
        lambda: Image.from_packer_manifest("manifest.json", backend=t.backend),
        Unsupported,
        what="adopting",
    )
    named = "adopts_artefacts" in error.message
    t.expect(named, "the capability's name", error.message)


def _adopt(t: Trial, manifest: Path) -> Image:
    return cast("Artefacts", t.backend.images).adopt(manifest)


@contextmanager
def _copy(t: Trial) -> Iterator[Path]:
    """Yield a manifest, and what is beside it, in a place that is gone afterwards."""
    if t.subject.artefact is None:
        raise AssertionError("the subject has no artefact")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "artefact"
        shutil.copytree(t.subject.artefact.parent, folder)
        yield folder / t.subject.artefact.name
