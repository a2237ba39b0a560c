"""The verb that proves an image before it is used, and keeps the proof beside it."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from immutable import registry
from immutable.deploying.booting import booted
from immutable.deploying.engine import Engine
from immutable.deploying.interrupting import Asked, uninterrupted
from immutable.deploying.opening import open_engine
from immutable.durations import duration
from immutable.errors import InvalidInput
from immutable.host import Stop
from immutable.images import proof as proofs
from immutable.images.finding import find_image, recorder
from immutable.images.proof import Booted, Check, Place, Proof
from immutable.images.proof.proving import check_checks
from immutable.model import Image
from immutable.protocols import Backend
from immutable.records import ImageRecords
from immutable.service import Service


def prove(
    image: Image | str,
    checks: Iterable[Check],
    *,
    backend: str | Backend | None = None,
    service: Service | None = None,
    ttl: timedelta | str = "1h",
    timeout: timedelta | str = "10m",
    cancel: Stop | None = None,
) -> Proof:
    """Judge an image by checks of its files and of an instance, and keep the proof.

    Where a service is given and a check needs one, one instance is launched, off
    production and away from the switch, and destroyed afterwards. What a killed process
    leaves, ``sweep(service)`` takes away. Without a service such checks are undecided.

    Args:
        image: which, or its id.
        checks: see `immutable.images.proof`; `sealed` is a good first one.
        backend: where the image is; the service's when not given.
        service: whose ports, tags and ledger the instance gets.
        ttl: after this the instance's tags say that it is over.
        timeout: how long each check may take.
        cancel: anything with ``is_set()``.

    Raises:
        InvalidInput: there is no check, or nobody says where the image is.
        UnknownImage, Unsupported: there is no such image, or no records are kept.
        Refused: the image is revoked, or is being deleted.
        NotReady, BackendError, LedgerError: the instance cannot be had.
    """
    asked, limits = check_checks(checks), (duration(ttl), duration(timeout))
    opened = _backend(backend, service)
    found = find_image(opened, image, None)
    needed = service if _needs_instance(asked) else None
    return _proven(recorder(opened), found, asked, needed, limits, Asked(cancel))


def _proven(
    records: ImageRecords,
    image: Image,
    checks: tuple[Check, ...],
    service: Service | None,
    limits: tuple[timedelta, timedelta],
    stop: Asked,
) -> Proof:
    """Prove an image, with an instance where a service is given; keep the proof."""
    engine = open_engine(service, tell=None, stop=stop) if service else None
    ttl, timeout = limits

    def work() -> Proof:
        with records.root(image.id) as path, _instance(engine, image, ttl) as booted:
            root = proofs.Root(path=path, run=proofs.contained(path))
            return proofs.prove(
                image, checks, root=root, booted=booted, timeout=timeout
            )

    made = uninterrupted(engine.host, work, stop) if engine else work()
    records.keep(image.id, "proof.json", proofs.encode(made))
    return made


def _backend(backend: str | Backend | None, service: Service | None) -> Backend:
    address = service.backend if backend is None and service else backend
    if address is None:
        raise InvalidInput("nobody says where the image is", hint="give backend=")
    return registry.open_backend(address)


def _needs_instance(checks: tuple[Check, ...]) -> bool:
    return any(Place.BOOTED in check.needs for check in checks)


@contextmanager
def _instance(
    engine: Engine | None, image: Image, ttl: timedelta
) -> Iterator[Booted | None]:
    if engine is None:
        yield None
        return
    with booted(engine, image, ttl=ttl) as instance:
        port = engine.service.port
        ports = {port: instance.port} if instance.port else {}
        yield Booted(address=instance.address or "", ports=ports)
