"""What validators are asked about: a target at ports of this machine."""

from immutable.judging import Target
from immutable.model import (
    Digest,
    Endpoint,
    FleetName,
    HealthCheck,
    Image,
    ImageId,
    Instance,
    InstanceId,
    InstanceState,
    Release,
    ReleaseNumber,
)

RELEASE = Release(
    number=ReleaseNumber(1),
    image=Image(id=ImageId("image"), digest=Digest("0" * 64), backend="memory"),
    ports=(8080,),
    health=HealthCheck(port=8080),
)


def target(
    port: int = 1,
    *,
    host: str = "127.0.0.1",
    headers: tuple[tuple[str, str], ...] = (),
    addresses: tuple[str | None, ...] = (),
    instance_port: int = 1,
) -> Target:
    """Return a target whose route is a port of this machine."""
    fleet = FleetName("shop-v1")
    instances = tuple(
        Instance(
            id=InstanceId(str(number)),
            fleet=fleet,
            state=InstanceState.RUNNING,
            address=address,
        )
        for number, address in enumerate(addresses)
    )
    return Target(
        endpoint=Endpoint(host=host, port=port, headers=headers),
        release=RELEASE,
        fleet=fleet,
        instances=instances,
        live=False,
        port=instance_port,
    )
