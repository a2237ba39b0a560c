"""What is kept of instances on disk, beside the pool's images.

    instances/<name>/       an instance's facts and disks, until it is destroyed
    instances/.<name>/      the same while it is written or removed
    instances/<name>.lock   held while it is being created or destroyed
    logs/<fleet>/<name>/    its console and journal, which stay

A directory without a running domain is what is left of an instance that died.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import attrs

from immutable.errors import BackendError, NotEnough
from immutable_libvirt.addresses import capacity_of, next_free
from immutable_libvirt.errors import BACKEND
from immutable_libvirt.facts import InstanceFacts, from_json
from immutable_libvirt.locks import exclusive, exclusive_now, is_held

_FACTS = "instance.json"
# QEMU runs as another user, who opens files in these by name and cannot list them.
_PASSABLE = 0o711
_PRIVATE = 0o700


@attrs.frozen(kw_only=True)
class Remains:
    """An instance as its directory tells it; whether it runs is for libvirt to say."""

    facts: InstanceFacts
    is_busy: bool
    """It is being created or destroyed at this moment."""


@attrs.frozen(kw_only=True)
class InstanceStore:
    """The directories of instances, safe for many threads and processes."""

    pool: Path
    subnet: IPv4Network

    def prepare(self) -> None:
        """Make the directories that are missing, and remove what the dead left half done."""
        make_passable(self.pool / "instances")
        (self.pool / "logs").mkdir(mode=_PRIVATE, exist_ok=True)
        for name in self._abandoned():
            with exclusive_now(self._lock(name)) as is_ours:
                if is_ours and not self.directory(name).exists():
                    self.remove(name)

    @property
    def network_lock(self) -> Path:
        """Return what is held while the network is made."""
        return self.pool / "instances" / ".network.lock"

    def directory(self, name: str) -> Path:
        """Return the directory of an instance."""
        return self.pool / "instances" / name

    def logs(self, facts: InstanceFacts) -> Path:
        """Return the directory of an instance's logs, made when missing."""
        path = self.pool / "logs" / facts.fleet / facts.name
        path.mkdir(mode=_PRIVATE, parents=True, exist_ok=True)
        return path

    def lock(self, name: str) -> AbstractContextManager[int]:
        """Hold what excludes all others from creating or destroying an instance."""
        return exclusive(self._lock(name))

    def find(self, name: str) -> InstanceFacts | None:
        """Return what is known of an instance, or None when nothing is."""
        try:
            return _read(self.directory(name))
        except FileNotFoundError:
            return None

    def remains(self) -> tuple[Remains, ...]:
        """Return every instance that has a directory, by name."""
        return tuple(self._remains())

    def reserve(
        self,
        name: str,
        make: Callable[[IPv4Address], InstanceFacts],
        *,
        foreign: frozenset[IPv4Address],
    ) -> InstanceFacts:
        """Give an instance an address and a directory, in one step.

        Args:
            name: of the instance, which has no directory yet.
            make: its facts, once the address is known.
            foreign: addresses in use by what has no directory here.

        Raises:
            NotEnough: no address is left.
        """
        with exclusive(self.pool / "instances" / ".addresses.lock") as descriptor:
            used = self.used() | foreign
            address = next_free(self.subnet, used=used, after=_last(descriptor))
            if address is None:
                raise self._full()
            facts = make(address)
            self._create(name, facts)
            _note_last(descriptor, address)
            return facts

    def used(self) -> frozenset[IPv4Address]:
        """Return the addresses of all instances that have a directory."""
        return frozenset(remains.facts.address for remains in self._remains())

    def remove(self, name: str) -> None:
        """Forget an instance; its lock must be held."""
        draft = self._draft(name)
        shutil.rmtree(draft, ignore_errors=True)
        # In one step: of a directory without its facts, nobody would know what it was.
        with suppress(FileNotFoundError):
            self.directory(name).rename(draft)
        shutil.rmtree(draft, ignore_errors=True)
        self._lock(name).unlink(missing_ok=True)

    def _lock(self, name: str) -> Path:
        return self.pool / "instances" / f"{name}.lock"

    def _draft(self, name: str) -> Path:
        """Return what a directory is called before it is whole, and while it goes."""
        return self.pool / "instances" / f".{name}"

    def _abandoned(self) -> set[str]:
        """Return the names of what has a lock or a draft, but no directory."""
        entries = list((self.pool / "instances").iterdir())
        made = {entry.name for entry in entries}
        locks = {e.stem for e in entries if e.match("[!.]*.lock")}
        drafts = {e.name[1:] for e in entries if e.match(".*") and e.is_dir()}
        return (locks | drafts) - made

    def _remains(self) -> Iterator[Remains]:
        for path in self._directories():
            # Asked first: if nobody is at work before they are read, facts are final.
            is_busy = is_held(self._lock(path.name))
            try:
                yield Remains(facts=_read(path), is_busy=is_busy)
            except FileNotFoundError:
                continue  # destroyed since the directory was listed

    def _directories(self) -> tuple[Path, ...]:
        try:
            entries = sorted((self.pool / "instances").iterdir())
        except FileNotFoundError:
            return ()
        return tuple(e for e in entries if e.is_dir() and not e.name.startswith("."))

    def _create(self, name: str, facts: InstanceFacts) -> None:
        made = self._draft(name)
        shutil.rmtree(made, ignore_errors=True)  # of one who died here
        made.mkdir(mode=_PRIVATE)
        _write(made / _FACTS, facts.to_json())
        made.chmod(_PASSABLE)
        made.rename(self.directory(name))

    def _full(self) -> NotEnough:
        return NotEnough(
            f"all {capacity_of(self.subnet)} addresses of {self.subnet} are in use",
            hint="retire fleets, or choose a larger network with ?subnet=…&network=…",
            operation="fleets.launch",
            resource=str(self.subnet),
            backend=BACKEND,
        )


def make_passable(path: Path) -> None:
    """Make a directory, and those above it, that QEMU's user can pass through."""
    missing = [p for p in (path, *path.parents) if not p.exists()]
    for directory in reversed(missing):
        directory.mkdir(exist_ok=True)
        directory.chmod(_PASSABLE)


def _read(directory: Path) -> InstanceFacts:
    try:
        return from_json((directory / _FACTS).read_text(encoding="utf-8"))
    except ValueError as exc:
        raise BackendError(
            f"{directory / _FACTS} is damaged: {exc}",
            hint=f"look whether virsh list shows {directory.name}, then remove it",
            operation="fleets.list",
            resource=directory.name,
            backend=BACKEND,
        ) from exc


def _write(path: Path, text: str) -> None:
    # Durable: after a power cut the directory would be there and its contents not.
    with path.open("x", encoding="utf-8") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(stream.fileno())


def _last(descriptor: int) -> IPv4Address | None:
    try:
        return IPv4Address(json.loads(os.pread(descriptor, 64, 0)))
    except ValueError:
        return None


def _note_last(descriptor: int, address: IPv4Address) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(str(address)).encode(), 0)
