"""A whole deploy beside the bare script that makes the same calls, in turns."""

import tempfile
import time
import traceback
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

import immutable
from bench.figures import CannotMeasure, Figure, Target, Unmeasured, compared
from bench.fleets import OWNER, PORT, open_switch_in
from bench.report import Row, say
from bench.sampling import take_turns
from bench.settings import Settings
from bench.shop import built, compile_app, deployed, open_backend, opened, recipe
from immutable import events
from immutable.model import FleetName, HealthCheck
from immutable.protocols import Switch
from immutable.urls import Url

if TYPE_CHECKING:
    from bench.bare import Bare, Phases

SIZES = (1, 2, 4)
_JUDGED = frozenset({2, 4})
_RATIO = Target(limit=1.15, on="ratio")
_TURNS = 10
_PASSABLE = 0o711


def measure(settings: Settings) -> tuple[Row, ...]:
    """Return wall times for fleets of 1, 2 and 4, and where they went."""
    if not settings.backend.startswith("libvirt:"):
        raise CannotMeasure("the bare script speaks to libvirt alone")
    backend = open_backend(settings.backend)
    with tempfile.TemporaryDirectory(prefix="immutable-bench-") as name:
        folder = Path(name)
        # QEMU runs as a user of its own, who has to reach the disks.
        folder.chmod(_PASSABLE)
        with built(backend, recipe(compile_app(folder))) as image:
            return tuple(
                row for size in SIZES for row in _rows(settings, folder, image, size)
            )


def _rows(
    settings: Settings, folder: Path, image: immutable.Image, size: int
) -> Iterator[Row]:
    """Yield one size's figures; where it breaks, those of the others are kept."""
    try:
        yield from _measure(settings, folder, image, size)
    except CannotMeasure as exc:
        yield Unmeasured(name=f"deploy.n{size}", why=str(exc))
    except Exception as exc:  # noqa: BLE001 - the run has failed and says so
        traceback.print_exc()
        why = f"it broke: {type(exc).__name__}: {exc}"
        yield Unmeasured(name=f"deploy.n{size}", why=why, failed=True)


def _measure(
    settings: Settings, folder: Path, image: immutable.Image, size: int
) -> Iterator[Figure]:
    with _pair(settings, folder, image, size) as (ours, bare):
        for turn in range(2):
            say(f"  {size} instances: preparing, {turn + 1} of 2")
            ours.deploy()
            bare.deploy()
        ours.phases.clear()
        floor: list[Phases] = []

        def bare_turn() -> float:
            floor.append(bare.deploy())
            return floor[-1].total_s

        def our_turn() -> float:
            say(f"  {size} instances: turn {len(floor) + 1}")
            return ours.deploy()

        total, least = take_turns(settings.turns(_TURNS), our_turn, bare_turn)
    target = _RATIO if size in _JUDGED else None
    yield _figure(f"n{size}", total, least, target=target)
    for name in ("launch_s", "ready_s", "rest_s"):
        part, least = ([getattr(p, name) for p in ps] for ps in (ours.phases, floor))
        yield _figure(f"n{size}_{name[:-2]}", part, least)


def _figure(
    name: str, ours: list[float], bare: list[float], target: Target | None = None
) -> Figure:
    beside = "bare script, same calls"
    return compared(f"deploy.{name}", "s", ours, bare, beside=beside, target=target)


@attrs.define
class Ours:
    """The service under test, deployed again and again."""

    service: immutable.Service
    image: immutable.Image
    turn: int = 0
    phases: "list[Phases]" = attrs.field(factory=list)
    _marks: dict[str, float] = attrs.field(factory=dict)

    def deploy(self) -> float:
        """Deploy the next release and return how long the call took."""
        self.turn += 1
        self._marks.clear()
        began = time.perf_counter()
        deployed(self.service, self.image, self.turn, on_event=self._mark)
        took = time.perf_counter() - began
        self._note(took)
        return took

    def _mark(self, event: events.Event) -> None:
        if isinstance(event, events.StepStarted | events.StepFinished):
            self._marks[f"{type(event).__name__} {event.step}"] = time.perf_counter()

    def _note(self, took: float) -> None:
        from bench.bare import Phases

        launched = self._marks["StepFinished launch"]
        launch_s = launched - self._marks["StepStarted launch"]
        ready_s = self._marks["StepStarted route"] - launched
        rest_s = took - launch_s - ready_s
        self.phases.append(Phases(launch_s=launch_s, ready_s=ready_s, rest_s=rest_s))


@contextmanager
def _pair(
    settings: Settings, folder: Path, image: immutable.Image, size: int
) -> "Iterator[tuple[Ours, Bare]]":
    """Yield the service and the script, each with a HAProxy of its own."""
    place = folder / f"n{size}"
    place.mkdir()
    place.chmod(_PASSABLE)
    with ExitStack() as stack:
        switches = [
            stack.enter_context(open_switch_in(place / name, name))
            for name in ("bench", "bench-bare")
        ]
        service = stack.enter_context(
            opened(
                "bench",
                size,
                backend=settings.backend,
                switch=switches[0],
                ledger=f"sqlite:///{place / 'ledger.db'}",
            )
        )
        bare = _bare(settings, place, switches[1], image, size)
        stack.callback(bare.close)
        yield Ours(service, image), bare


def _bare(
    settings: Settings, place: Path, switch: Switch, image: immutable.Image, size: int
) -> "Bare":
    """Return the script, with a HAProxy that the switch has set up and left alone."""
    from bench.bare import Bare
    from immutable_libvirt.config import LibvirtConfig
    from immutable_libvirt.daemon import Daemon

    config = LibvirtConfig.parse(Url.parse(settings.backend))
    switch.attach(
        FleetName("nobody"),
        health=HealthCheck(port=PORT, path="/healthz"),
        owner=OWNER,
        expected=switch.read().version,
    )
    folder = place / "instances"
    folder.mkdir()
    folder.chmod(_PASSABLE)
    return Bare(
        config=config,
        image=image,
        size=size,
        folder=folder,
        socket=place / "bench-bare" / "haproxy.sock",
        connection=Daemon(uri=config.uri).connection(),
    )
