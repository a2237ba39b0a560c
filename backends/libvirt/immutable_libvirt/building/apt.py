"""Debian's packages for an image, found by the host's apt without touching the host.

apt is run from outside the image, with a state of its own: the image needs no apt. One
such state, in the pool, knows the mirrors; each installation has another one, that knows
nothing but the packages it is to install.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from immutable.errors import BuildFailed, Unavailable, Unsupported
from immutable.images.lock import Pin
from immutable_libvirt.building.debs import pins_of, stanzas
from immutable_libvirt.building.process import Output, capture, run
from immutable_libvirt.building.sources import sources_for
from immutable_libvirt.pool import Pool

_HOST_SETTINGS = re.compile(
    r"^Acquire::(?:http|https|Retries|ForceIPv[46])\b.*;$", re.MULTILINE
)
QUIET = ("--quiet", "--quiet", "--yes")
_SOURCES = "etc/immutable.sources"
_ARCHITECTURES = frozenset({"amd64"})


@attrs.frozen(kw_only=True)
class Apt:
    """A directory of apt's own for one Debian release, with its sources and lists."""

    codename: str
    directory: Path

    @classmethod
    def of(cls, pool: Pool, codename: str) -> "Apt":
        """Return the apt that knows the mirrors of a release, in a pool."""
        directory = pool.cache(f"apt/{codename}")
        _prepare(directory, sources_for(codename))
        return cls(codename=codename, directory=directory)

    @classmethod
    def upon(cls, repository: Path, directory: Path, codename: str) -> "Apt":
        """Return an apt that knows the packages of one local directory and no others."""
        text = f"Types: deb\nURIs: copy:{repository}\nSuites: ./\nTrusted: yes\n"
        _prepare(directory, text)
        return cls(codename=codename, directory=directory)

    @property
    def sources(self) -> Path:
        """Return the file that names where packages come from."""
        return self.directory / _SOURCES

    @property
    def origin(self) -> str:
        """Return where its packages are from, for people."""
        return f"debian {self.codename}"

    def update(self, on_output: Output) -> None:
        """Fetch the lists of packages, as far as they have changed.

        Raises:
            Unavailable: the mirrors cannot be reached; holds apt's last lines.
        """
        try:
            run(
                ["apt-get", "--quiet", "update", "--error-on=any"],
                what="apt-get update",
                on_output=on_output,
                variables=self.variables(),
            )
        except BuildFailed as exc:
            raise Unavailable(
                f"the lists of {self.codename} cannot be fetched: {exc.message}",
                hint='see whether "apt-get update" works on this host; its sources,'
                " proxies and keys are used here",
                operation="images.build",
                backend="libvirt",
                retryable=True,
            ) from exc

    def needed(self, names: Sequence[str], status: Path) -> tuple[Pin, ...]:
        """Return packages and what they need besides those that are installed.

        Args:
            names: the packages, or patterns of apt's.
            status: dpkg's list of what is installed.

        Raises:
            BuildFailed: there is no such package, or it cannot be installed.
        """
        settings = {"Dir::State::status": str(status)}
        return self._named(["install", *names], settings)

    def named(self, names: Sequence[str]) -> tuple[Pin, ...]:
        """Return packages, without those they depend on.

        Raises:
            BuildFailed: there is no such package.
        """
        return self._named(["download", *names], {})

    def _named(self, command: list[str], settings: dict[str, str]) -> tuple[Pin, ...]:
        # What is there already would not be printed.
        aside = {"Dir::Cache::archives": f"{self.directory}/new/"}
        said = capture(
            ["apt-get", *QUIET, "--print-uris", *command],
            variables=self.variables(aside | settings),
        )
        return pins_of(said, self.origin)

    def download(self, pins: Sequence[Pin], into: Path, on_output: Output) -> None:
        """Download packages of exactly these versions to a directory.

        Raises:
            BuildFailed: one of them is not to be had.
        """
        exactly = [f"{pin.name}={pin.version}" for pin in pins]
        # apt downloads to the working directory and nowhere else.
        inside = ["env", f"--chdir={into}", "apt-get", "--quiet", "download"]
        run(
            [*inside, *exactly],
            what="apt-get download",
            on_output=on_output,
            variables=self.variables(),
        )

    def described(self, pins: Sequence[Pin]) -> dict[tuple[str, str], str]:
        """Return what its lists say of packages, by name and version, where they do."""
        exactly = [f"{pin.name}={pin.version}" for pin in pins]
        try:
            said = capture(["apt-cache", "show", *exactly], variables=self.variables())
        except BuildFailed:  # one that is not there is enough
            return {}
        return dict(stanzas(said))

    def depends_on(self, name: str, pattern: str) -> str:
        """Return the package that another one depends on, by a pattern of its name.

        Raises:
            BuildFailed: there is none.
        """
        said = capture(["apt-cache", "depends", name], variables=self.variables())
        found = re.search(rf"Depends: ({pattern})$", said, re.MULTILINE)
        if not found:
            raise BuildFailed(
                f"{name} of {self.codename} depends on no {pattern}",
                hint="this release names its kernel in a way not known here",
                backend="libvirt",
            )
        return found[1]

    def variables(self, settings: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the environment in which apt knows this directory and not the host's.

        Args:
            settings: further ones of apt's, by name.
        """
        values = self._settings() | dict(settings or {})
        lines = [f'{name} "{value}";' for name, value in values.items()]
        path = self.directory / ("apt.conf" if settings is None else "install.conf")
        path.write_text("\n".join([*host_settings(), *lines, ""]), encoding="utf-8")
        path.chmod(0o600)  # a proxy's address may hold a password
        return {"APT_CONFIG": str(path)}

    def _settings(self) -> dict[str, str]:
        here = self.directory
        return {
            "APT::Architecture": architecture(),
            "APT::Install-Recommends": "false",
            "APT::Keep-Downloaded-Packages": "true",
            "APT::Sandbox::User": "root",
            "Acquire::ForceHash": "SHA256",
            "Acquire::Languages": "none",
            "Dir::Cache": f"{here}",
            "Dir::Cache::archives": f"{here}/new/",
            "Dir::Etc::main": f"{here}/empty/none",
            "Dir::Etc::parts": f"{here}/empty",
            "Dir::Etc::preferencesparts": f"{here}/empty",
            "Dir::Etc::preferences": f"{here}/empty/none",
            "Dir::Etc::sourcelist": f"{self.sources}",
            "Dir::Etc::sourceparts": f"{here}/empty",
            "Dir::Log": f"{here}",
            "Dir::State": f"{here}",
            "Dir::State::lists": f"{here}/lists/",
            "Dir::State::status": f"{here}/status",
            # As mmdebstrap has it: by itself apt counts itself as essential.
            "pkgCacheGen::ForceEssential": ",",
        }


def _prepare(directory: Path, sources: str) -> None:
    for name in ("new/partial", "lists/partial", "etc", "empty"):
        (directory / name).mkdir(parents=True, exist_ok=True)
    (directory / "status").touch()
    (directory / _SOURCES).write_text(sources, encoding="utf-8")


def architecture() -> str:
    """Return Debian's name for this machine's architecture.

    Raises:
        Unsupported: images cannot be built for it yet.
    """
    name = capture(["dpkg", "--print-architecture"], variables={}).strip()
    if name not in _ARCHITECTURES:
        raise Unsupported(
            f"images cannot be built for {name}",
            hint=f"build on one of: {', '.join(sorted(_ARCHITECTURES))}",
            backend="libvirt",
        )
    return name


def host_settings() -> list[str]:
    """Return how the host's apt reaches its mirrors: proxies, retries, time limits."""
    return _HOST_SETTINGS.findall(capture(["apt-config", "dump"], variables={}))
