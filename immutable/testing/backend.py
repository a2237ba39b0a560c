"""`immutable.protocols.Backend` on a simulated cloud."""

from collections.abc import Callable

from immutable.capabilities import Capabilities, Need
from immutable.errors import NotEnough
from immutable.images.recipe import Recipe
from immutable.model import (
    Digest,
    FleetName,
    Image,
    ImageId,
    InstanceId,
    InstanceLog,
    ServiceName,
    digest_of,
)
from immutable.protocols import PROTOCOL_VERSION
from immutable.testing.cloud import Cloud
from immutable.testing.fleets import SimulatedFleets
from immutable.testing.gate import Gate
from immutable.urls import Url


def make_image(cloud: Cloud, name: str, recipe: Recipe | None = None) -> Image:
    """Put an image into the cloud, or return the one with this name."""
    image = Image(
        id=ImageId(name),
        digest=image_digest(name),
        backend=cloud.provider.name,
        recipe=recipe.digest if recipe else None,
    )
    return cloud.images.setdefault(image.id, image)


def image_name(recipe: Recipe) -> ImageId:
    """Return the name of the image that a recipe is built into."""
    return ImageId(f"image-{recipe.digest[:16]}")


def image_digest(name: str) -> Digest:
    """Return the digest of an image: its name is all that it consists of."""
    return digest_of("image", name, "")


class SimulatedImages:
    """`immutable.protocols.Images` on a simulated cloud."""

    def __init__(self, cloud: Cloud, gate: Gate) -> None:
        self._cloud = cloud
        self._gate = gate

    def find(self, image: ImageId) -> Image | None:
        """Return the image with this id."""
        return self._gate.read(
            "images.find", image, look=lambda _: self._cloud.images.get(image)
        )

    def build(self, recipe: Recipe, *, on_output: Callable[[str], None]) -> Image:
        """Make an image that is named after the recipe's digest."""
        name = image_name(recipe)
        if name not in self._cloud.images:
            on_output(f"built {name}")
        return self._gate.effect(
            "images.build", name, land=lambda _: make_image(self._cloud, name, recipe)
        )

    def delete(self, image: ImageId) -> None:
        """Delete an image."""
        self._gate.effect(
            "images.delete", image, land=lambda _: self._cloud.images.pop(image, None)
        )


class SimulatedLogs:
    """`immutable.protocols.Logs` on a simulated cloud: a line for every server ever."""

    def __init__(self, cloud: Cloud, gate: Gate) -> None:
        self._cloud = cloud
        self._gate = gate

    def read(self, fleet: FleetName, *, tail_bytes: int) -> tuple[InstanceLog, ...]:
        """Return what each server of a fleet said."""
        return self._gate.read(
            "logs.read", fleet, look=lambda _: self._said(fleet, tail_bytes)
        )

    def _said(self, fleet: FleetName, tail_bytes: int) -> tuple[InstanceLog, ...]:
        if self._cloud.provider.keeps_logs:
            names = self._cloud.ever.get(fleet, set())
        else:
            known = self._cloud.fleets.now.get(fleet)
            living = known.alive(self._cloud.now_us) if known else ()
            names = {server.id for server in living}
        return tuple(_log(fleet, name, tail_bytes) for name in sorted(names))


class SimulatedBackend:
    """A provider that exists in memory and in virtual time."""

    protocol_version = PROTOCOL_VERSION

    def __init__(self, cloud: Cloud, gate: Gate) -> None:
        self._cloud = cloud
        self._gate = gate
        self.images = SimulatedImages(cloud, gate)
        self.fleets = SimulatedFleets(cloud, gate)
        self.logs = SimulatedLogs(cloud, gate)

    @property
    def name(self) -> str:
        """Return the scheme that it answers to."""
        return self._cloud.provider.name

    @property
    def capabilities(self) -> Capabilities:
        """Return what the provider declares."""
        return self._cloud.provider.capabilities

    def default_switch(self, service: ServiceName, *, port: int) -> Url:
        """Return an address that nothing answers to: a simulation gives its switch."""
        return Url(scheme=self.name, host=service, path=f"/{port}")

    def preflight(self, need: Need) -> tuple[str, ...]:
        """Check that there is room.

        Raises:
            NotEnough: the cloud's capacity would not suffice.
        """
        return self._gate.read(
            "backend.preflight",
            need.new_instances,
            look=lambda us: self._room(need, us),
        )

    def _room(self, need: Need, when_us: int) -> tuple[str, ...]:
        capacity = self._cloud.provider.capacity
        wanted = self._cloud.count(when_us) + need.new_instances
        if capacity is not None and wanted > capacity:
            raise NotEnough(f"{wanted} servers, and there is room for {capacity}")
        return ()


def _log(fleet: FleetName, instance: InstanceId, tail_bytes: int) -> InstanceLog:
    said = f"{instance} booted"[-tail_bytes:]
    return InstanceLog(instance=instance, fleet=fleet, console=said, journal="")
