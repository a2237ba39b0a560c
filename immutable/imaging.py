"""The verbs about images: how they were made, making them again, comparing, proving.

They are for backends that keep records of images; see `immutable.records`.
"""

import os
import tempfile
from pathlib import Path

from immutable import host, registry
from immutable.display import listener
from immutable.errors import InvalidInput, UnknownImage
from immutable.events import OnEvent, Output
from immutable.images import given
from immutable.images.catalogue.opening import id_of
from immutable.images.diffing import ImageDiff, diff_roots
from immutable.images.finding import recorder
from immutable.images.recipe import Recipe
from immutable.images.record import ImageRecord, Rebuilt
from immutable.images.sbom import sbom_of
from immutable.images.signing import (
    Policy,
    Resource,
    Signer,
    Statement,
    local_signer,
    provenance_of,
)
from immutable.images.signing import verify as verify_document
from immutable.images.sources import layer_elsewhere, origin_elsewhere
from immutable.model import Image, ImageId, Release
from immutable.protocols import Backend
from immutable.records import ImageRecords

Which = Image | Release | str
"""An image: itself, the release that runs it, or its id."""


def record(image: Which, *, backend: str | Backend) -> ImageRecord:
    """Return how an image was made, whether or not it is still there.

    Raises:
        InvalidInput: it is no image.
        UnknownImage: nothing is known of it.
        Unsupported: the backend keeps no records.
    """
    return _record(_opened(backend), _id(image))


def recipe_of(
    image: Which,
    *,
    backend: str | Backend,
    into: str | os.PathLike[str] | None = None,
) -> Recipe:
    """Return the recipe of an image of the past, to be branched or built again.

    It is locked to what the image was made of. A branch of it keeps what it shares; the
    rest is looked up by `Recipe.lock`.

    Args:
        image: an image, a release that ran it, or its id.
        backend: where it was built.
        into: a directory that is empty or not there, for the recipe's local files.

    Raises:
        UnknownImage: nothing is known of it.
        InvalidInput: it has local files, and ``into`` is not given, or is not empty.
        MissingFiles: a local file is kept nowhere any more.
    """
    records, which = _opened(backend), _id(image)
    if into is None:
        _check_no_files(_record(records, which))
        with tempfile.TemporaryDirectory() as nothing:
            return records.recipe(which, Path(nothing))
    directory = Path(into).absolute()
    directory.mkdir(parents=True, exist_ok=True)
    if any(directory.iterdir()):
        raise InvalidInput(f"{directory} is not empty", hint="name another directory")
    return records.recipe(which, directory)


def rebuild(
    image: Which,
    *,
    backend: str | Backend,
    on_event: OnEvent | None = None,
    progress: bool | str = False,
) -> Rebuilt:
    """Build a historical image again from its record, and say whether it is identical.

    No layer that is there is used. An image that was gone is there again when it came out
    identical.

    Args:
        image: an image, a release that ran it, or its id.
        backend: where it was built.
        on_event: gets an `Output` event for each line that the build prints.
        progress: show progress; see `deploy`.

    Raises:
        UnknownImage: nothing is known of it.
        MissingFiles: a package that it was made of is to be had nowhere; names it.
        BackendError: the build failed.
    """
    opened = registry.open_backend(backend)
    here = host.of(opened)
    with listener(on_event, progress) as tell:
        return recorder(opened).rebuild(
            _id(image), on_output=lambda line: tell(Output(at=here.now(), line=line))
        )


def diff(before: Which, after: Which, *, backend: str | Backend) -> ImageDiff:
    """Return what differs between two images: packages, files, configuration, size.

    Raises:
        UnknownImage: one of them is not there.
        Unsupported: the backend keeps no records.
    """
    records = _opened(backend)
    with records.root(_id(before)) as one, records.root(_id(after)) as other:
        return diff_roots(one, other)


def sbom(image: Which, *, backend: str | Backend) -> bytes:
    """Return an image's bill of materials: CycloneDX 1.6, as JSON; made once and kept.

    Raises:
        UnknownImage: it is not there.
        Unsupported: the backend keeps no records.
    """
    records, which = _opened(backend), _id(image)
    kept = records.kept(which, "sbom.json")
    return _keep_sbom(records, which) if kept is None else kept


def attest(
    image: Which, *, backend: str | Backend, signer: Signer | None = None
) -> Policy:
    """Sign how an image came to be, and keep the statement beside it.

    The bill of materials is part of what is signed.

    Args:
        image: which.
        backend: where it is.
        signer: who says so; by default this user's own key, made when there is none.

    Returns:
        The policy that accepts what was signed: for `verify`, and for ``signed_by``.

    Raises:
        UnknownImage: nothing is known of it.
        Unsupported: the extra ``sign`` is not installed, or no records are kept.
    """
    records, which = _opened(backend), _id(image)
    chosen = local_signer() if signer is None else signer
    # made anew: what is signed is what is seen now, not what somebody has put there
    bill = Resource.of("sbom.json", _keep_sbom(records, which))
    statement = provenance_of(_record(records, which), byproducts=[bill])
    records.keep(which, "provenance.dsse.json", chosen.sign(statement))
    return chosen.policy


def verify(image: Image, policy: Policy, *, backend: str | Backend) -> Statement:
    """Return what exactly this signer has said of exactly this image.

    Raises:
        InvalidInput: the image is given by its id alone, or the policy is none.
        VerificationFailed: nothing is signed, somebody else did, or it was altered.
        Unsupported: the extra ``sign`` is not installed, or no records are kept.
    """
    image = given.image(image)
    document = _opened(backend).kept(image.id, "provenance.dsse.json")
    return verify_document(document, policy, image.digest, image=image.id)


def _opened(backend: str | Backend) -> ImageRecords:
    return recorder(registry.open_backend(backend))


def _record(records: ImageRecords, image: ImageId) -> ImageRecord:
    found = records.record(image)
    if found is None:
        raise UnknownImage(
            f"nothing is known of image {image!r}",
            hint="history() names the images of releases",
        )
    return found


def _keep_sbom(records: ImageRecords, which: ImageId) -> bytes:
    found = _record(records, which)
    pins = [pin for entry in found.lock.entries for pin in entry.pins]
    digest, at = found.image.digest, found.built_at
    with records.root(which) as root:
        bill = sbom_of(root, image=which, digest=digest, at=at, pins=pins)
    records.keep(which, "sbom.json", bill)
    return bill


def _check_no_files(found: ImageRecord) -> None:
    def refuse(source: Path, _exclude: tuple[str, ...]) -> Path:
        raise InvalidInput(
            f"the recipe of {found.image.id} has local files ({source})",
            hint="say where they are to be laid out: into=",
        )

    origin_elsewhere(found.origin, refuse)
    for layer in found.layers:
        layer_elsewhere(layer, refuse)


def _id(image: Which) -> ImageId:
    if isinstance(image, Release):
        return image.image.id
    return id_of(image)
