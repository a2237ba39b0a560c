"""What a world keeps of its images, those that are gone included: records and sources."""

import hashlib
from pathlib import Path, PurePosixPath

import attrs

from immutable.errors import BuildFailed
from immutable.images.content import inventory
from immutable.images.layers import Layer
from immutable.images.origins import Origin
from immutable.images.record import ImageRecord, Kept
from immutable.images.sources import layer_elsewhere, listed, listing, origin_elsewhere
from immutable.model import ImageId
from immutable.testing.memory.laying import Laying

Made = tuple[Origin, tuple[Layer, ...]]
"""What a recipe begins from, and its layers."""


@attrs.define(eq=False)
class Archive:
    """Records by image, documents beside them, and recipes' files by their digests."""

    records: dict[ImageId, ImageRecord] = attrs.field(factory=dict)
    documents: dict[tuple[ImageId, Kept], bytes] = attrs.field(factory=dict)
    unfinished: list[str] = attrs.field(factory=list)
    """The work of builds that were killed."""
    _lists: dict[str, bytes] = attrs.field(factory=dict, init=False)
    _files: dict[str, bytes] = attrs.field(factory=dict, init=False)

    def take_in(self, origin: Origin, layers: tuple[Layer, ...]) -> Made:
        """Keep the local files that a recipe names, and return it with their digests.

        Raises:
            MissingFiles: a source is not there.
            BuildFailed: a file changed while it was read.
        """
        kept = tuple(layer_elsewhere(layer, self._keep) for layer in layers)
        return origin_elsewhere(origin, self._keep), kept

    def put_out(self, origin: Origin, layers: tuple[Layer, ...], into: Path) -> Made:
        """Write what was taken in to a directory, and return the recipe with its paths."""
        laying = Laying(into)

        def put(source: Path, _exclude: tuple[str, ...]) -> Path:
            self.lay(source, laying, PurePosixPath("/", source))
            return into / source

        moved = tuple(layer_elsewhere(layer, put) for layer in layers)
        found = origin_elsewhere(origin, put), moved
        laying.finish()
        return found

    def lay(self, source: Path, laying: Laying, target: PurePosixPath) -> None:
        """Lay out what was taken in, at a path."""
        entries = listed(self._lists[str(source)])
        if [entry.name for entry in entries] != ["."]:
            laying.directory(target)
        for entry in entries:
            laying.add(entry, target, self._files.get(entry.content, b""))

    def size_bytes(self, source: Path) -> int:
        """Return how long the files of a source are together."""
        entries = listed(self._lists[str(source)])
        return sum(len(self._files[e.content]) for e in entries if e.kind == "file")

    def _keep(self, source: Path, exclude: tuple[str, ...]) -> Path:
        entries = inventory(source, exclude)
        for entry in entries:
            if entry.kind == "file":
                self._files[entry.content] = _read(source / entry.name, entry.content)
        document = listing(entries)
        name = hashlib.sha256(document).hexdigest()
        self._lists[name] = document
        return Path(name)


def _read(path: Path, expected: str) -> bytes:
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != expected:
        raise BuildFailed(
            f"{path} has changed while it was read",
            hint="build again when nothing writes to it",
        )
    return content
