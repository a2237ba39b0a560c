"""The local files of recipes: kept by hash, and laid out again as they were."""

from pathlib import Path

from immutable.errors import BuildFailed, MissingFiles
from immutable.images.content import Entry, inventory
from immutable.images.layers import Layer
from immutable.images.origins import Origin
from immutable.images.recipe import Recipe
from immutable.images.record import ImageRecord
from immutable.images.sources import (
    layer_elsewhere,
    listed,
    listing,
    origin_elsewhere,
)
from immutable_libvirt.archive import Archive


def keep_sources(recipe: Recipe, archive: Archive) -> tuple[Origin, tuple[Layer, ...]]:
    """Keep the files of a recipe; return its origin and layers with digests for paths.

    Raises:
        BuildFailed: a file was changed meanwhile.
    """

    def kept(source: Path, exclude: tuple[str, ...]) -> Path:
        return Path(_keep(archive, source, exclude))

    layers = tuple(layer_elsewhere(layer, kept) for layer in recipe.layers)
    return origin_elsewhere(recipe.origin, kept), layers


def recipe_from(record: ImageRecord, archive: Archive, directory: Path) -> Recipe:
    """Return the recipe of a record, its files laid out in an empty directory.

    Raises:
        MissingFiles: a file is kept no more.
    """

    def restored(source: Path, exclude: tuple[str, ...]) -> Path:
        del exclude  # it was left out when the files were listed
        target = directory / str(len(list(directory.iterdir())))
        _restore(archive, str(source), target)
        return target

    return Recipe(
        origin=origin_elsewhere(record.origin, restored),
        layers=tuple(layer_elsewhere(layer, restored) for layer in record.layers),
        pins=record.lock,
    )


def _keep(archive: Archive, source: Path, exclude: tuple[str, ...]) -> str:
    entries = inventory(source, exclude)
    files = [entry for entry in entries if entry.kind == "file"]
    kept = archive.add_sources(_place(source, entry) for entry in files)
    if [entry.content for entry in files] != list(kept):
        raise BuildFailed(
            f"{source} has changed while it was read",
            hint="build again when nothing writes to it",
            operation="images.build",
            backend="libvirt",
        )
    with archive.workspace() as work:
        (work / "listing").write_bytes(listing(entries))
        return archive.add_sources([work / "listing"])[0]


def _restore(archive: Archive, digest: str, target: Path) -> None:
    entries = listed(_kept(archive, digest, "a list of files").read_bytes())
    if not entries or entries[0].name != ".":
        target.mkdir()
    for entry in entries:
        _lay_out(archive, entry, _place(target, entry))
    for entry in reversed(entries):  # now that all is in them
        if entry.kind == "directory":
            _place(target, entry).chmod(entry.mode)


def _lay_out(archive: Archive, entry: Entry, place: Path) -> None:
    if entry.kind == "directory":
        place.mkdir()
    elif entry.kind == "link":
        place.symlink_to(entry.content)
    else:
        kept = _kept(archive, entry.content, f"the file {entry.name}")
        place.write_bytes(kept.read_bytes())
        place.chmod(entry.mode)


def _kept(archive: Archive, digest: str, what: str) -> Path:
    path = archive.source(digest)
    if path is None:
        raise MissingFiles(
            f"{what} of the recipe is kept no more (SHA-256 {digest})",
            hint=f"put it back into {archive.root}/sources",
        )
    return path


def _place(source: Path, entry: Entry) -> Path:
    return source if entry.name == "." else source / entry.name
