"""From what may be deployed to an image: one that exists, or one that is built first."""

from pathlib import Path
from typing import cast

from immutable import host, registry
from immutable.errors import InvalidInput, Refused, UnknownImage, Unsupported
from immutable.events import OnEvent, Output
from immutable.images.lock import Lock
from immutable.images.locking import check_locked
from immutable.images.recipe import Recipe
from immutable.model import Image, ImageId
from immutable.protocols import Backend
from immutable.records import Artefacts, ImageRecords

Subject = Image | Recipe | str
"""An image, a recipe that is built first, or a provider's image id."""


def find_image(
    backend: Backend, subject: Subject | None, tell: OnEvent | None
) -> Image:
    """Return the image that is meant, building it where a recipe is given.

    Raises:
        InvalidInput: it is none of the three.
        UnknownImage: the backend has none with this id.
        Refused: what it has under this id has another digest.
        Unsupported: the backend does not build images.
        BackendError: the build failed, or the backend cannot be asked.
    """
    if isinstance(subject, Recipe):
        return build_image(backend, subject, tell)
    if not isinstance(subject, str | Image):
        raise InvalidInput(
            f"{subject!r} cannot be deployed",
            hint="give an Image, a Recipe or an image id",
        )
    wanted = subject.id if isinstance(subject, Image) else ImageId(subject)
    found = backend.images.find(wanted)
    if found is None:
        raise UnknownImage(
            f"{backend.name} has no image {wanted!r}",
            hint="build it, rebuild() it if it was there, or check the id",
        )
    if isinstance(subject, Image):
        check_same(found, subject)
    return found


def check_same(found: Image, meant: Image) -> None:
    """Refuse other bytes under the same id: what was tested is what runs.

    Raises:
        Refused: the digests differ.
    """
    if found.digest == meant.digest:
        return
    raise Refused(
        f"image {meant.id} is not what it was: its digest is {found.digest}, "
        f"and {meant.digest} was meant",
        hint="trust neither; build it anew, and find out who changed it",
        resource=meant.id,
        backend=meant.backend,
    )


def build_image(backend: Backend, recipe: Recipe, tell: OnEvent | None) -> Image:
    """Return a recipe's image, telling each line that its build prints.

    Raises:
        InvalidInput: it is no recipe, or is bound to a lock that lacks what it needs.
        Unsupported: the backend does not build images.
        BackendError: the build failed, or there is no room for it.
    """
    _check_recipe(recipe)
    if not backend.capabilities.builds_images:
        raise Unsupported(
            f"{backend.name} builds no images (capability: builds_images)",
            hint="deploy an image id",
        )
    check_locked(recipe)
    here = host.of(backend)

    def said(line: str) -> None:
        if tell is not None:
            tell(Output(at=here.now(), line=line))

    return backend.images.build(recipe, on_output=said)


def _check_recipe(value: object) -> None:
    if not isinstance(value, Recipe):
        hint = 'begin one: Recipe.base("debian:12")'
        raise InvalidInput(f"{value!r} is no recipe", hint=hint)


def lock_recipe(recipe: Recipe, backend: str | Backend) -> Lock:
    """Return what a build of a recipe would use now; see `Recipe.lock`.

    Raises:
        Unsupported: the backend keeps no packages.
    """
    opened = registry.open_backend(backend)
    return recorder(opened).lock(recipe, on_output=_unheard)


def adopt_manifest(manifest: Path, backend: str | Backend) -> Image:
    """Return the image of an artefact; see `Image.from_packer_manifest`.

    Raises:
        Unsupported: the backend adopts no artefacts.
    """
    opened = registry.open_backend(backend)
    if not opened.capabilities.adopts_artefacts:
        raise Unsupported(
            f"{opened.name} adopts no artefacts (capability: adopts_artefacts)",
            hint="use the id that Packer printed as the image",
        )
    return cast("Artefacts", opened.images).adopt(manifest)


def recorder(backend: Backend) -> ImageRecords:
    """Return the part of a backend that keeps how its images were made.

    Raises:
        Unsupported: it keeps nothing of them.
    """
    found = records_of(backend)
    if found is None:
        raise Unsupported(
            f"{backend.name} keeps no records of images (capability: keeps_records)",
            hint="use a backend that builds and keeps images itself",
        )
    return found


def records_of(backend: Backend) -> ImageRecords | None:
    """Return the part of a backend that keeps how its images were made, if it has one."""
    if not backend.capabilities.keeps_records:
        return None
    return cast("ImageRecords", backend.images)


def _unheard(line: str) -> None:
    """Take a line of output that nobody asked for."""
    del line
