"""The directory that holds everything images are made of, safe for many builders.

    images/<image id>.json      what an image consists of
    layers/<digest>.erofs       read-only layers, named by their contents
    kernels/<digest>/           vmlinuz and initrd
    disks/<digest>.<format>     whole disks that other tools made
    builds/<key>.json           which layer, kernel or image a digest of inputs led to
    trees/<key>/                unpacked layers, upon which the next layer is built
    seen/<digest>.json          how files looked when they were last seen whole
    cache/apt/                  lists of packages
    locks/, work/               one lock for each thing being built, and unfinished work

Whatever has one of these names is whole: it was written elsewhere, synced to disk and
renamed. ``trees`` and ``cache`` may be deleted at any time; they only save work. What
must outlive the pool is beside it: see `immutable_libvirt.archive`.
"""

import os
from pathlib import Path

import attrs

from immutable.errors import NotEnough
from immutable.model import Digest, ImageId
from immutable_libvirt.durable import Durable

# Unpacked trees hold set-user-id programs, which others must not be able to run.
_PRIVATE = ("builds", "cache", "images", "locks", "seen", "trees", "work")
# QEMU runs as another user, who opens files in these by name and cannot list them.
_PASSABLE = ("disks", "kernels", "layers")
_MEBIBYTE = 1 << 20


@attrs.frozen
class Pool(Durable):
    """The paths of a pool, and the only ways to write to it."""

    def image(self, image: ImageId) -> Path:
        """Return where an image's manifest is."""
        return self.root / "images" / f"{image}.json"

    def layer(self, content: str) -> Path:
        """Return where the layer with these contents is."""
        return self.root / "layers" / f"{content}.erofs"

    def kernel(self, content: str) -> Path:
        """Return the directory of a kernel and its initramfs."""
        return self.root / "kernels" / content

    def disk(self, content: str, disk_format: str) -> Path:
        """Return where the disk with these contents is."""
        return self.root / "disks" / f"{content}.{disk_format}"

    def build(self, key: Digest) -> Path:
        """Return where the result of building a digest of inputs is noted."""
        return self.root / "builds" / f"{key}.json"

    def tree(self, key: Digest) -> Path:
        """Return where the unpacked form of a layer or kernel is kept."""
        return self.root / "trees" / key

    def seen(self, content: Digest) -> Path:
        """Return where is noted how the files with these contents look."""
        return self.root / "seen" / f"{content}.json"

    def cache(self, name: str) -> Path:
        """Return a directory for what may be downloaded again, made when absent."""
        path = self.root / "cache" / name
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return path

    def prepare(self) -> None:
        """Make the directories, and remove what dead builders left behind.

        Raises:
            PermissionDenied: the pool cannot be written.
        """
        self.make_directories(_PRIVATE, _PASSABLE)

    def require_space(self, needed_bytes: int) -> None:
        """Check that something of this size fits.

        Raises:
            NotEnough: it does not.
        """
        status = os.statvfs(self.root)
        free_bytes = status.f_bavail * status.f_frsize
        if free_bytes < needed_bytes:
            raise NotEnough(
                f"the pool {self.root} has {free_bytes // _MEBIBYTE} MiB free, and the"
                f" build may need {needed_bytes // _MEBIBYTE} MiB",
                hint="delete images, or name a pool on another disk with ?pool=/path",
                operation="images.build",
                resource=str(self.root),
                backend="libvirt",
            )
