"""What a layer's tool is given: a copy of the layer's own tree."""

import os
import shutil
from pathlib import Path

from immutable.errors import MissingFiles
from immutable.images.content import Entry, inventory
from immutable_libvirt.building.process import EPOCH
from immutable_libvirt.building.provisioning.site import Site

POLICY = "policy"
"""The tree's name under /run, for every tool that is given one."""
# Tools that run as root refuse what others could have written.
_OTHERS_WRITE = 0o022


def handed_over(site: Site, source: Path, entry: str) -> Path:
    """Return a copy of a layer's tree that is root's alone and never changes.

    Args:
        site: where the layer is made.
        source: the layer's directory.
        entry: the file in it with which the tool begins.

    Raises:
        MissingFiles: the directory, or the file in it, is not there.
        InvalidInput: something in it cannot be copied.
    """
    return copied(source, entry, site.work / POLICY)


def copied(source: Path, entry: str, made: Path) -> Path:
    """Copy a tree, with the file that counts in it, to where nothing is yet.

    Raises:
        MissingFiles: the directory, or the file in it, is not there.
        InvalidInput: something in it cannot be copied.
    """
    if not (source / entry).exists():
        raise MissingFiles(
            f"{source / entry} is not there",
            hint="the path is relative to the working directory",
        )
    made.mkdir()
    made.chmod(0o755)
    for found in inventory(source):
        _copy(source / found.name, made / found.name, found)
    return made


def _copy(source: Path, target: Path, entry: Entry) -> None:
    match entry.kind:
        case "link":
            target.symlink_to(entry.content)
        case "directory":
            target.mkdir()
            target.chmod(entry.mode & ~_OTHERS_WRITE)
        case "file":
            shutil.copyfile(source, target)
            target.chmod(entry.mode & ~_OTHERS_WRITE)
    os.utime(target, (EPOCH, EPOCH), follow_symlinks=False)
