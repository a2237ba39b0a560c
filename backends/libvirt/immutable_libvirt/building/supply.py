"""The packages that pins name, from the archive's store or, exactly these, from a mirror."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import attrs

from immutable.errors import BuildFailed, MissingFiles, Unavailable
from immutable.images.lock import Pin
from immutable_libvirt.archive import Archive
from immutable_libvirt.building.apt import Apt
from immutable_libvirt.building.debs import is_deb, make_repository
from immutable_libvirt.building.process import Output
from immutable_libvirt.pool import Pool

# It becomes the name of a file: of no other directory, and no option of a program.
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9!+._%~@-]{0,254}")
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]{0,254}")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+:~-]{0,254}")


@attrs.frozen(kw_only=True)
class Supply:
    """Packages of one Debian release, for a pool."""

    pool: Pool
    archive: Archive
    codename: str
    on_output: Output

    @contextmanager
    def mirror(self) -> Iterator[Apt]:
        """Yield the apt that knows the mirrors, to nobody else meanwhile."""
        with self.pool.lock(f"apt-{self.codename}"):
            yield Apt.of(self.pool, self.codename)

    def files(self, pins: Iterable[Pin]) -> dict[Pin, Path]:
        """Return the packages of Debian among pins, fetched where the store lacks them.

        Raises:
            MissingFiles: one is neither in the store nor to be had; names it.
        """
        debs = [pin for pin in pins if is_deb(pin)]
        check_names(debs)
        found = self._kept(debs)
        missing = [pin for pin in debs if pin not in found]
        if missing:
            failure = self._fetch(missing)
            found |= self._kept(missing)
            _check_complete(debs, found, failure)
        return {pin: found[pin] for pin in debs}

    def apt(self, pins: Iterable[Pin], work: Path) -> Apt:
        """Return an apt that knows exactly these packages, made in an empty directory."""
        repository = work / "archives"
        make_repository(repository, self.files(pins), self.codename)
        apt = Apt.upon(repository, work / "apt", self.codename)
        apt.update(self.on_output)
        return apt

    def _kept(self, pins: list[Pin]) -> dict[Pin, Path]:
        found = ((pin, self.archive.package(pin.sha256)) for pin in pins)
        return {pin: path for pin, path in found if path}

    def _fetch(self, pins: list[Pin]) -> BuildFailed | Unavailable | None:
        """Fetch what a mirror still has of these, and return why some are missing."""
        with self.mirror() as apt, self.pool.workspace() as work:
            # Mostly the lists that they were found in are still there.
            failure = self._fetched(apt, pins, work)
            if failure:
                with suppress(Unavailable):
                    apt.update(self.on_output)
                for (
                    pin
                ) in pins:  # together, one that is missing would be enough to fail
                    if not (work / pin.file).is_file():
                        failure = self._fetched(apt, [pin], work) or failure
            self.archive.add_packages(sorted(work.glob("*.deb")))
        return failure

    def _fetched(
        self, apt: Apt, pins: list[Pin], work: Path
    ) -> BuildFailed | Unavailable | None:
        try:
            apt.download(pins, work, self.on_output)
        except (BuildFailed, Unavailable) as exc:
            return exc
        return None


def check_names(pins: Iterable[Pin]) -> None:
    """Check that pins of packages can be handed to apt: locks are handed around.

    Raises:
        BuildFailed: one has a name that leads elsewhere, or is an option.
    """
    for pin in pins:
        whole = _NAME.fullmatch(pin.name) and _VERSION.fullmatch(pin.version)
        if not (whole and _FILE.fullmatch(pin.file)):
            raise BuildFailed(
                f"a package cannot have the name {pin.name!r}, the version"
                f" {pin.version!r} and the file {pin.file!r}",
                hint="lock the recipe again",
                operation="images.build",
                backend="libvirt",
            )


def _check_complete(
    pins: list[Pin], found: dict[Pin, Path], failure: Exception | None
) -> None:
    missing = [pin for pin in pins if pin not in found]
    if missing:
        said = [f"{pin.name} {pin.version} (SHA-256 {pin.sha256})" for pin in missing]
        raise MissingFiles(
            f"neither the store nor a mirror has {', '.join(said)}",
            hint="let this host's apt reach a mirror that has it, as an archive of"
            " snapshots, or lock the recipe again",
        ) from failure
