"""The unpacked form of layers: made anew from a layer itself where it is gone."""

import shutil
from pathlib import Path

from immutable.errors import BuildFailed
from immutable.model import Digest
from immutable_libvirt.building import erofs
from immutable_libvirt.building.intact import tree_is_intact
from immutable_libvirt.building.process import Output, run
from immutable_libvirt.pool import Pool


def require_intact(
    pool: Pool, content: Digest, name: Digest, work: Path, *, on_output: Output
) -> None:
    """See that an unpacked layer is what its layer is; unpack the layer where it is not.

    Raises:
        BuildFailed: it was damaged, and has to be made anew; it no longer counts as made.
    """
    with pool.lock(name):
        if tree_is_intact(pool, content, name, work, on_output=on_output):
            return
        shutil.rmtree(pool.tree(name))
        try:
            require_tree(pool, content, name, on_output=on_output)
        except BuildFailed as exc:
            pool.build(name).unlink(missing_ok=True)
            raise BuildFailed(
                f"the unpacked form of the layer {content} was damaged",
                hint="build again: the layer is made anew",
                operation="images.build",
                backend="libvirt",
            ) from exc


def require_tree(
    pool: Pool, content: Digest, name: Digest, *, on_output: Output
) -> None:
    """Unpack a layer where its tree is gone.

    Raises:
        BuildFailed: what comes out is not what the layer was made of.
    """
    if pool.tree(name).is_dir():
        return
    with pool.workspace() as work:
        tree, again = work / "tree", work / "again"
        run(
            ["fsck.erofs", f"--extract={tree}", "--preserve", pool.layer(content)],
            what=f"unpacking the layer {content}",
            on_output=on_output,
        )
        erofs.make(tree, again, on_output=on_output)
        if erofs.content_digest(again) != content:
            raise BuildFailed(
                f"the unpacked form of the layer {content} is gone, and this version of"
                " erofs-utils cannot unpack it",
                hint="rebuild the image from its record",
                operation="images.build",
                backend="libvirt",
            )
        pool.publish(tree, pool.tree(name))
