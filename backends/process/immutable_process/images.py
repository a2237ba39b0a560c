"""Images: directories that are named by their recipe and never change."""

import json
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import attrs

from immutable.errors import BuildFailed, UnknownImage, Unsupported
from immutable.images.layers import Daemon, Files
from immutable.images.recipe import Recipe
from immutable.model import Digest, Image, ImageId, digest_of
from immutable_process.errors import NAME, doing
from immutable_process.store import changing, copy, discard, draft_of, entry

BASE = "host:local"
"""The only base: the system that runs already, with whatever is installed on it."""
_CONTRADICTIONS = (
    FileExistsError,
    FileNotFoundError,
    IsADirectoryError,
    NotADirectoryError,
)
_HINT = "see whether layers are in each other's way, and links lead somewhere"


@attrs.frozen(kw_only=True)
class ProcessImages:
    """`immutable.protocols.Images`: a directory each, published by one rename."""

    directory: Path

    def find(self, image: ImageId) -> Image | None:
        """Return the image with exactly this id, or None when there is none."""
        home = entry(self.directory, image)
        with doing(operation="images.find", resource=image, changes=False):
            return _image(home) if home.exists() else None

    def build(self, recipe: Recipe, *, on_output: Callable[[str], None]) -> Image:
        """Copy the recipe's files and note its command, unless that was done before.

        Raises:
            Unsupported: another base, packages, commands, or not exactly one service.
            BuildFailed: layers contradict each other, or files changed meanwhile.
        """
        service, digest = _service_of(recipe), recipe.digest
        home = self.directory / f"img-{digest_of(NAME, digest)[:16]}"
        make = doing(operation="images.build", resource=home.name, changes=True)
        with make, changing(self.directory):
            if not home.exists():
                content = _copied(recipe, draft_of(home) / "root", on_output)
                if recipe.digest != digest:
                    raise BuildFailed("files changed while they were copied")
                start = [service.command, service.environment]
                text = json.dumps([service.digest(content), digest, *start])
                (draft_of(home) / "image.json").write_text(text)
                os.sync()  # a loss of power must not leave half of what is published
                draft_of(home).rename(home)
            return _image(home)

    def delete(self, image: ImageId) -> None:
        """Delete an image; one that is already gone is no error."""
        clear = doing(operation="images.delete", resource=image, changes=True)
        with clear, changing(self.directory):
            discard(entry(self.directory, image))

    def start(self, image: ImageId) -> tuple[Path, list[str], dict[str, str]]:
        """Return an image's files, the command that it starts, and its variables.

        Raises:
            UnknownImage: there is none with this id.
        """
        home = entry(self.directory, image)
        if not home.exists():
            raise UnknownImage(f"no image {image}", hint="build it", backend=NAME)
        _, _, command, variables = json.loads((home / "image.json").read_text())
        return home / "root", command, dict(variables)


def _image(home: Path) -> Image:
    digest, recipe, *_ = json.loads((home / "image.json").read_text())
    return Image(id=ImageId(home.name), digest=digest, backend=NAME, recipe=recipe)


def _service_of(recipe: Recipe) -> Daemon:
    asked = [type(layer).__name__ for layer in recipe.layers]
    services = [layer for layer in recipe.layers if isinstance(layer, Daemon)]
    if recipe.origin != BASE or {*asked} - {"Files", "Daemon"} or len(services) != 1:
        raise Unsupported(
            f"an image is files and one service on the base {BASE}; asked for is"
            f" {recipe.origin} with {', '.join(asked) or 'nothing'}",
            hint="install packages on this machine; run commands before the build",
            operation="images.build",
            backend=NAME,
        )
    return services[0]


def _copied(recipe: Recipe, root: Path, tell: Callable[[str], None]) -> Digest:
    """Copy files and what links lead to, so that no link leads out of the image."""
    root.mkdir(parents=True)
    for layer in recipe.layers:
        if isinstance(layer, Files):
            tell(f"{layer.source} -> {layer.target}")
            target = root / layer.target.relative_to("/")
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                copy(layer.source, target)
            except _CONTRADICTIONS as exc:
                raise BuildFailed(str(exc), hint=_HINT, backend=NAME) from exc
    return Files(source=root, target=PurePosixPath("/")).digest(Digest(""))
