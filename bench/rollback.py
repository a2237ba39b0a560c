"""A warm rollback: from the call to the acknowledged switch, and what is durable."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

import immutable
from bench.figures import CannotMeasure, Figure, Target, alone, compared, counted
from bench.fleets import open_switch_in
from bench.ledger import Floor as LedgerFloor
from bench.sampling import take_turns
from bench.settings import Settings
from bench.shop import built, compile_app, deployed, open_backend, opened, recipe
from bench.switching import Floor as SwitchFloor
from immutable import events
from immutable.ledger.sqlite import SqliteStore

if TYPE_CHECKING:
    from immutable_haproxy import HAProxySwitch

SIZE = 2
_TURNS = 20
_TARGET = Target(limit=150)


def measure(settings: Settings) -> tuple[Figure, ...]:
    """Return the time to the acknowledged switch beside the durable writes in it."""
    with _world(settings) as ours, tempfile.TemporaryDirectory() as name:
        ledger = LedgerFloor.made(Path(name))
        switch = SwitchFloor(ours.directory, ours.directory.parent / "floor.map")
        ours.roll_back()
        appends = ours.samples.pop().appends

        def least() -> float:
            began = time.perf_counter()
            for _ in range(appends):
                ledger.insert()
            took = time.perf_counter() - began
            return took + switch.change() + switch.replace()

        whole, floor = take_turns(settings.turns(_TURNS), ours.roll_back, least)
    return _figures(ours.samples, whole, floor)


def _figures(
    samples: "list[Sample]", whole: list[float], floor: list[float]
) -> tuple[Figure, ...]:
    shifted = [sample.shifted_s for sample in samples]
    ledger = [sample.ledger_s for sample in samples]
    switch = [sample.switch_s for sample in samples]
    rest = [s.shifted_s - s.ledger_s - s.switch_s for s in samples]
    return (
        compared(
            "rollback.to_acknowledged_switch",
            "ms",
            shifted,
            floor,
            beside="the same durable writes, bare",
            target=_TARGET,
        ),
        alone("rollback.of_it_ledger_durable", "ms", ledger),
        counted("rollback.of_it_ledger_appends", samples[-1].appends),
        alone("rollback.of_it_switch_durable", "ms", switch),
        alone("rollback.of_it_everything_else", "ms", rest),
        alone("rollback.whole_call", "ms", whole),
    )


@attrs.frozen(kw_only=True)
class Sample:
    """One rollback, until the switch had acknowledged it."""

    shifted_s: float
    ledger_s: float
    """In `LedgerStore.append`, all of it."""
    appends: int
    switch_s: float
    """In the switch's own durable file."""


class TimedStore(SqliteStore):
    """The ledger's store, with a watch on its writes."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.appends_s: list[float] = []

    def append(self, stream: str, sequence: int, record: bytes) -> None:
        """Append, and note how long it took."""
        began = time.perf_counter()
        super().append(stream, sequence, record)
        self.appends_s.append(time.perf_counter() - began)


@attrs.define
class Ours:
    """A service with a live and a standby fleet that change places."""

    service: immutable.Service
    store: TimedStore
    switch: "HAProxySwitch"
    directory: Path
    live: int = 2
    samples: list[Sample] = attrs.field(factory=list)
    _began: float = 0.0

    def roll_back(self) -> float:
        """Make the standby live and return how long the whole call took."""
        self.live = 1 if self.live == 2 else 2  # noqa: PLR2004 - there are two releases
        self.store.appends_s.clear()
        self._began = time.perf_counter()
        done = immutable.rollback(self.service, to=self.live, on_event=self._listen)
        took = time.perf_counter() - self._began
        done.raise_for_outcome()
        return took

    def _listen(self, event: events.Event) -> None:
        if not isinstance(event, events.Shifted):
            return
        shifted_s = time.perf_counter() - self._began
        if self.switch.last_write is None:
            raise CannotMeasure("the switch does not say where its time went")
        # The intent and its outcome are journalled before the shift is told.
        self.samples.append(
            Sample(
                shifted_s=shifted_s,
                ledger_s=sum(self.store.appends_s),
                appends=len(self.store.appends_s),
                switch_s=self.switch.last_write.durable_s,
            )
        )


@contextmanager
def _world(settings: Settings) -> Iterator[Ours]:
    backend = open_backend(settings.backend)
    with ExitStack() as stack:
        name = tempfile.TemporaryDirectory(prefix="immutable-bench-")
        folder = Path(stack.enter_context(name))
        image = stack.enter_context(built(backend, recipe(compile_app(folder))))
        switch = stack.enter_context(
            open_switch_in(folder / "switch", "bench-rollback")
        )
        store = TimedStore(folder / "ledger.db")
        service = stack.enter_context(
            opened(
                "bench-rollback",
                SIZE,
                backend=settings.backend,
                switch=switch,
                ledger=store,
            )
        )
        for release in (1, 2):
            deployed(service, image, release)
        yield Ours(service, store, switch, folder / "switch")
