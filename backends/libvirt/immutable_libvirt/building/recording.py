"""Writing down how an image was made, before it counts as made."""

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from immutable.errors import InvalidInput
from immutable.images.codec import decode, encode
from immutable.images.layers import Ansible, Cfengine, Chef, Layer, Puppet, Run
from immutable.images.recipe import Recipe
from immutable.images.record import BuiltLayer, ImageRecord, Tool, Unpinned
from immutable.model import ImageId
from immutable_libvirt.archive import RECORD, Archive
from immutable_libvirt.building.keeping import keep_sources
from immutable_libvirt.building.making import Made
from immutable_libvirt.building.process import capture
from immutable_libvirt.building.steps import described

_TOOLS = ("apt", "dpkg", "erofs-utils", "mmdebstrap")
_BOOTED = "a running machine wrote its disk, and writes it differently each time"
_NETWORK = "it could reach the network, and what it fetched is in no lock"


def record(archive: Archive, recipe: Recipe, made: Made) -> ImageRecord:
    """Keep all that an image was made of, and then how, and return the latter.

    Raises:
        BuildFailed: the recipe's files have changed meanwhile.
    """
    origin, layers = keep_sources(recipe, archive)
    image = made.manifest.image
    own = {tool for layer in made.layers for tool in layer.tools}
    found = ImageRecord(
        image=image,
        origin=origin,
        layers=layers,
        lock=made.lock,
        kernel=made.manifest.kernel,
        built=tuple(
            BuiltLayer(
                what=layer.what,
                recipe=layer.step,
                content=layer.content,
                size_bytes=layer.size_bytes,
            )
            for layer in made.layers
        ),
        tools=(*_tools(), *sorted(own, key=lambda tool: (tool.name, tool.version))),
        unpinned=tuple(_all_unpinned(recipe, made)),
        builder=_builder(),
        built_at=made.manifest.built_at,
    )
    archive.keep(image.id, RECORD, encode(found))
    return found


def read_record(archive: Archive, image: ImageId) -> ImageRecord | None:
    """Return how an image was made, or None when nothing is known of it.

    Raises:
        InvalidInput: the record is damaged, or of a newer version.
    """
    data = archive.kept(image, RECORD)
    if data is None:
        return None
    try:
        return decode(data)
    except InvalidInput as exc:
        place = archive.root / "records" / image / RECORD
        raise InvalidInput(
            f"{exc.message}: {place}",
            hint=exc.hint,
            operation="images.record",
            resource=image,
            backend="libvirt",
        ) from exc


def _all_unpinned(recipe: Recipe, made: Made) -> Iterator[Unpinned]:
    if made.manifest.disk:
        yield Unpinned(layer=made.layers[0].what, reason=_BOOTED)
    yield from (_unpinned(layer) for layer in recipe.layers if _is_open(layer))


def _is_open(layer: Layer) -> bool:
    reaching = Run | Ansible | Puppet | Cfengine | Chef
    return isinstance(layer, reaching) and layer.network


def _unpinned(layer: Layer) -> Unpinned:
    return Unpinned(layer=described(layer), reason=_NETWORK)


def _tools() -> tuple[Tool, ...]:
    form = "--showformat=${Package} ${Version}\n"
    said = capture(["dpkg-query", "--show", form, *_TOOLS], variables={})
    rows = (line.split(maxsplit=1) for line in said.splitlines())
    return tuple(Tool(name=name, version=version) for name, version in rows)


def _builder() -> str:
    release = Path("/etc/os-release").read_text(encoding="utf-8")
    host = re.search(r'^PRETTY_NAME="?([^"\n]*)"?$', release, re.MULTILINE)
    version = metadata.version("immutable-deploy-libvirt")
    return f"immutable-libvirt {version} on {host[1] if host else 'an unknown system'}"
