"""What outlives a pool: all that its images were made of, and how they were made.

    packages/<sha256>           packages and wheels, by their contents
    sources/<sha256>            files of recipes, and lists of the trees they were in
    records/<image id>/         record.json, and documents that were kept beside it
    locks/, work/               one lock for each kind, and unfinished work

It lies beside the pool, and emptying the pool leaves it alone. As there, whatever has a
name is whole. What comes out is what went in: a file that no longer matches its name is
removed, and counts as never kept.
"""

import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import attrs

from immutable.images.content import digest_of_file
from immutable.model import Digest, ImageId
from immutable_libvirt.durable import FILE, Durable, contents, sync
from immutable_libvirt.pool import Pool

RECORD = "record.json"
_PRIVATE = ("locks", "packages", "records", "sources", "work")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


@attrs.frozen
class Archive(Durable):
    """The paths of an archive, and the only ways to write to it."""

    @classmethod
    def of(cls, pool: Pool) -> "Archive":
        """Return the archive beside a pool; nothing is made yet."""
        return cls(pool.root.with_name(f"{pool.root.name}.archive"))

    def prepare(self) -> None:
        """Make the directories, and remove what dead builders left behind.

        Raises:
            PermissionDenied: the archive cannot be written.
        """
        self.make_directories(_PRIVATE)

    def package(self, sha256: str) -> Path | None:
        """Return a package or wheel with these contents, or None; not to be written to."""
        return self._found("packages", sha256)

    def add_packages(self, paths: Iterable[Path]) -> tuple[Digest, ...]:
        """Keep packages or wheels, and return their digests."""
        return self._added("packages", tuple(paths))

    def add_package(self, path: Path) -> Digest:
        """Keep a package or wheel, and return its digest."""
        return self.add_packages([path])[0]

    def source(self, sha256: str) -> Path | None:
        """Return a recipe's file with these contents, or None; not to be written to."""
        return self._found("sources", sha256)

    def add_sources(self, paths: Iterable[Path]) -> tuple[Digest, ...]:
        """Keep files of a recipe, and return their digests."""
        return self._added("sources", tuple(paths))

    def images(self) -> tuple[ImageId, ...]:
        """Return the images of which a record is kept, in order of id."""
        found = (self.root / "records").glob(f"*/{RECORD}")
        return tuple(sorted(ImageId(path.parent.name) for path in found))

    def has_record(self, image: ImageId) -> bool:
        """Return whether it is known how an image was made."""
        return self._document(image, RECORD).is_file()

    def keep(self, image: ImageId, name: str, content: bytes) -> None:
        """Keep a document of an image, in one step; an older one is replaced."""
        self.prepare()
        target = self._document(image, name)
        target.parent.mkdir(mode=0o700, exist_ok=True)
        self.write(target, content)

    def kept(self, image: ImageId, name: str) -> bytes | None:
        """Return a document that was kept, or None.

        Raises:
            PermissionDenied: the caller may not read it.
        """
        if not _IMAGE.fullmatch(image):
            return None
        return contents(self._document(image, name))

    def _document(self, image: ImageId, name: str) -> Path:
        return self.root / "records" / image / name

    def _found(self, kind: str, sha256: str) -> Path | None:
        path = self.root / kind / sha256
        if not _SHA256.fullmatch(sha256) or not path.is_file():
            return None
        if digest_of_file(path) == sha256:
            return path
        with self.lock(kind):  # or a good one that another builder put there would go
            if path.is_file() and digest_of_file(path) != sha256:
                path.unlink()
        return None

    def _added(self, kind: str, paths: tuple[Path, ...]) -> tuple[Digest, ...]:
        """Keep files that are not there yet, with one sync for all of them."""
        self.prepare()
        digests = tuple(map(digest_of_file, paths))
        found = zip(digests, paths, strict=True)
        missing = {d: path for d, path in found if self._found(kind, d) is None}
        if missing:
            self._copy_in(kind, tuple(missing.values()))
        return digests

    def _copy_in(self, kind: str, paths: tuple[Path, ...]) -> None:
        with self.workspace() as work:
            made = [work / f"{number}" for number in range(len(paths))]
            for source, target in zip(paths, made, strict=True):
                target.touch(mode=FILE)
                shutil.copyfile(source, target)
            names = [digest_of_file(path) for path in made]  # of what was really copied
            sync(work)
            with self.lock(kind):
                for path, name in zip(made, names, strict=True):
                    path.rename(self.root / kind / name)
            sync(self.root / kind)
