"""Fleets out of single servers, for providers that have no groups of their own.

The idempotency is in the names: a server's name follows from its fleet, the token and
an index. A retry under the same token finds what the first attempt made; a replacement,
under another token, gets a name that nothing had before.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count, groupby, islice
from typing import TypeVar

import attrs

from immutable.authoring.tagging import is_tagged
from immutable.errors import Ambiguous
from immutable.machines import Machines, MachineSpec
from immutable.model import (
    FleetName,
    FleetSpec,
    FleetView,
    Instance,
    InstanceId,
    InstanceState,
    LedgerId,
    ServiceName,
    Token,
    digest_of,
)
from immutable.shapes import check_machines

_HASH_CHARS = 8

_T = TypeVar("_T")
_Row = tuple[Instance, tuple[tuple[str, str], ...]]


def member_name(fleet: FleetName, token: Token, index: int) -> str:
    """Return a server's name: for the same arguments the same, for ever."""
    return f"{fleet}-{digest_of('member', fleet, token, index)[:_HASH_CHARS]}"


@attrs.frozen(kw_only=True)
class MachineFleets:
    """`immutable.protocols.Fleets` on top of `immutable.machines.Machines`.

    ``max_parallel`` is how many servers are created or destroyed at the same time.
    """

    machines: Machines
    max_parallel: int = 8

    def __attrs_post_init__(self) -> None:
        """Check the servers' methods now, and not in the middle of a launch."""
        check_machines(self.machines)

    def launch(self, spec: FleetSpec, *, token: Token) -> None:
        """Create what is missing of the fleet; servers that are gone do not count.

        Raises:
            ImmutableError: the first error met, after all other servers were tried. A
                note says how many failed; what was created stays, tagged.
        """
        self._complete(spec, token, self._members(spec.name))

    def observe(self, fleet: FleetName) -> FleetView | None:
        """Return the fleet as it is now, or None when nothing of it exists."""
        views = _views(row for row in self.machines.list() if row[0].fleet == fleet)
        return next(iter(views), None)

    def resize(
        self, spec: FleetSpec, *, remove: tuple[InstanceId, ...], token: Token
    ) -> None:
        """Destroy exactly ``remove``, then complete the fleet to its size."""
        members = self._members(spec.name)
        leaving = {m.id for m in members} & set(remove)
        self._destroy(leaving)
        self._complete(spec, token, [m for m in members if m.id not in leaving])

    def replace(self, spec: FleetSpec, *, instance: InstanceId, token: Token) -> None:
        """Destroy one instance and what is left of dead ones; complete the fleet."""
        members = self._members(spec.name)
        leaving = {m.id for m in members if m.id == instance or _is_gone(m)}
        self._destroy(leaving)
        self._complete(spec, token, [m for m in members if m.id not in leaving])

    def retire(self, fleet: FleetName, *, token: Token) -> None:  # noqa: ARG002 - destroying a name is repeat-safe without it
        """Destroy all servers of the fleet, and read back that nothing is left.

        Raises:
            Ambiguous: servers that were destroyed are still listed.
            ImmutableError: the first error met, after all others were tried.
        """
        self._destroy({m.id for m in self._members(fleet)})
        left = [m.id for m in self._members(fleet)]
        if left:
            raise Ambiguous(
                f"fleet {fleet} was retired, but {', '.join(left)} can still be seen",
                hint="retire it again",
                operation="fleets.retire",
                resource=fleet,
            )

    def list(self, *, service: ServiceName, ledger: LedgerId) -> tuple[FleetView, ...]:
        """Return every fleet that carries these tags, by name."""
        return _views(
            row
            for row in self.machines.list()
            if is_tagged(row[1], service=service, ledger=ledger)
        )

    def _members(self, fleet: FleetName) -> tuple[Instance, ...]:
        return tuple(i for i, _ in self.machines.list() if i.fleet == fleet)

    def _complete(
        self, spec: FleetSpec, token: Token, members: Collection[Instance]
    ) -> None:
        names = {m.id for m in members}
        missing = spec.size - sum(not _is_gone(m) for m in members)
        fresh = (n for n in _names(spec.name, token) if n not in names)
        chosen = islice(fresh, max(0, missing))
        specs = [MachineSpec(name=name, fleet=spec) for name in chosen]
        self._for_each(self.machines.create, specs)

    def _destroy(self, instances: Iterable[InstanceId]) -> None:
        self._for_each(self.machines.destroy, sorted(instances))

    def _for_each(self, act: Callable[[_T], object], items: Sequence[_T]) -> None:
        """Act on all items, some at a time, and raise the first error afterwards."""
        if not items:
            return
        with ThreadPoolExecutor(min(self.max_parallel, len(items))) as pool:
            futures = [pool.submit(act, item) for item in items]
        _raise_first(futures)


def _names(fleet: FleetName, token: Token) -> Iterator[str]:
    return (member_name(fleet, token, index) for index in count())


def _is_gone(instance: Instance) -> bool:
    return instance.state is InstanceState.GONE


def _views(rows: Iterable[_Row]) -> tuple[FleetView, ...]:
    ordered = sorted(rows, key=lambda row: (row[0].fleet, row[0].id))
    groups = groupby(ordered, key=lambda row: row[0].fleet)
    return tuple(_view(fleet, tuple(group)) for fleet, group in groups)


def _view(fleet: FleetName, rows: tuple[_Row, ...]) -> FleetView:
    # Members of later deployments differ in some tags: what all share is the fleet's.
    common = set.intersection(*(set(tags) for _, tags in rows))
    return FleetView(
        name=fleet, instances=tuple(i for i, _ in rows), tags=tuple(sorted(common))
    )


def _raise_first(futures: Sequence[Future[object]]) -> None:
    errors = [error for future in futures if (error := future.exception())]
    if not errors:
        return
    if len(futures) > 1:
        errors[0].add_note(f"{len(errors)} of {len(futures)} servers failed")
    raise errors[0]
