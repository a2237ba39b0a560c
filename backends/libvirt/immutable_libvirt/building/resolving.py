"""Finding out which packages a recipe is made of, and remembering it in the pool."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs

from immutable.images.layers import Layer, Packages, Python
from immutable.images.lock import BOOT, Entry, Lock, Pin
from immutable.model import Digest, digest_of
from immutable_libvirt.building import base, kernel
from immutable_libvirt.building.apt import Apt
from immutable_libvirt.building.chroot import Chroot
from immutable_libvirt.building.debs import control_of, is_deb, stanzas, status_of
from immutable_libvirt.building.provisioning import Site, python
from immutable_libvirt.building.steps import Step
from immutable_libvirt.building.supply import Supply, check_names
from immutable_libvirt.durable import read

Pins = tuple[Pin, ...]


def names_of(layer: Layer) -> tuple[str, ...]:
    """Return the distribution's packages that a layer asks for."""
    match layer:
        case Packages(names=names):
            return names
        case Python():
            return python.PACKAGES
        case _:
            return ()


@attrs.frozen(kw_only=True)
class Resolver:
    """Asks the mirrors what apt would install now, and remembers what was built of it."""

    supply: Supply

    def known(self, step: Step) -> Entry | None:
        """Return what the step was made of that this pool has built already."""
        return self._remembered(step.pins_name)

    def known_boot(self) -> Entry | None:
        """Return what the kernel was made of that this pool has already."""
        return self._remembered(self.boot_name)

    def remember(self, name: Digest, entry: Entry) -> None:
        """Note what was resolved, now that it has been built: then it stays like that.

        Before that it is not worth keeping: the mirrors may be mended meanwhile.
        """
        pool = self.supply.pool
        pool.note(pool.build(name), {"lock": Lock(entries=(entry,)).to_json()})

    def boot(self) -> Entry:
        """Return what images of the release are booted by.

        Raises:
            Unavailable: the mirrors cannot be reached.
            BuildFailed: the release packs its kernel in a way not known here.
        """
        with self._lists() as apt:
            pins = apt.named(kernel.packages(apt))
        return Entry(layer=BOOT, what=f"boot {self.supply.codename}", pins=pins)

    def step(self, step: Step, status: Callable[[], Path]) -> Entry:
        """Return what a step is made of, upon what dpkg's list says is installed.

        Raises:
            Unavailable: the mirrors cannot be reached.
            BuildFailed: there is no such package.
        """
        pins = self._base() if step.is_base else self._layer(step.layers[0], status())
        return Entry(layer=step.key, what=step.what, pins=pins)

    def _base(self) -> Pins:
        with self._lists() as apt:
            return apt.needed(base.wanted(apt.codename), apt.directory / "status")

    def _layer(self, layer: Layer, status: Path) -> Pins:
        with self._lists() as apt:
            pins = apt.needed(names_of(layer), status)
        return (*pins, *self._wheels(layer))

    def status(
        self, entries: Iterable[Entry], upon: Path | None, directory: Path
    ) -> Path:
        """Write the list that dpkg would have with the packages of some layers.

        Lists and store are asked what a package needs; only what neither knows is
        fetched. What commands in a recipe change about packages is not in it.

        Args:
            entries: what the layers are made of, the lowest first.
            upon: dpkg's list of what is below them, if anything is.
            directory: where to write it.

        Raises:
            MissingFiles: a package is to be had nowhere.
        """
        pins = {p.name: p for e in entries for p in e.pins if is_deb(p)}
        known = dict(stanzas(upon.read_text(encoding="utf-8"))) if upon else {}
        kept = {key: text for key, text in known.items() if key[0] not in pins}
        described = self._described(tuple(pins.values()))
        status = directory / "status"
        status.write_text(status_of(kept.values(), described), encoding="utf-8")
        return status

    def _described(self, pins: Pins) -> list[str]:
        check_names(pins)
        with self.supply.mirror() as apt:
            known = apt.described(pins)
        unknown = [pin for pin in pins if (pin.name, pin.version) not in known]
        for pin, path in self.supply.files(unknown).items():
            known[pin.name, pin.version] = control_of(path)
        return [known[pin.name, pin.version] for pin in pins]

    def _wheels(self, layer: Layer) -> Pins:
        if not isinstance(layer, Python):
            return ()
        supply = self.supply
        with supply.pool.workspace() as work:
            site = Site(
                inside=Chroot(below=(), work=work / "none"),
                pool=supply.pool,
                archive=supply.archive,
                codename=supply.codename,
                work=work,
                pins=None,
                on_output=supply.on_output,
            )
            return python.resolve(layer, site)

    @property
    def boot_name(self) -> Digest:
        """Return the name under which is noted what is booted by."""
        return digest_of("libvirt pins", "boot", self.supply.codename)

    @contextmanager
    def _lists(self) -> Iterator[Apt]:
        with self.supply.mirror() as apt:
            apt.update(self.supply.on_output)
            yield apt

    def _remembered(self, name: Digest) -> Entry | None:
        pool = self.supply.pool
        note = read(pool.build(name))
        return Lock.from_json(str(note["lock"])).entries[0] if note else None
