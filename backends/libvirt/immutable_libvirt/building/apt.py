"""Debian's packages for an image, fetched by the host's apt without touching the host.

apt is run from outside the image, with a state of its own in the pool: the image needs
no apt, and what was downloaded once is there for the next build.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from immutable.errors import BuildFailed, Unavailable, Unsupported
from immutable_libvirt.building.process import Output, capture, run
from immutable_libvirt.building.sources import sources_for
from immutable_libvirt.pool import Pool

_HOST_SETTINGS = re.compile(
    r"^Acquire::(?:http|https|Retries|ForceIPv[46])\b.*;$", re.MULTILINE
)
QUIET = ("--quiet", "--quiet", "--yes")
_ARCHITECTURES = frozenset({"amd64"})


@attrs.frozen(kw_only=True)
class Apt:
    """apt's own directory for one Debian release, and the packages it downloaded."""

    codename: str
    directory: Path
    downloads: Path

    @classmethod
    def of(cls, pool: Pool, codename: str) -> "Apt":
        """Return the apt of a release in a pool, its directories made."""
        directory = pool.cache(f"apt/{codename}")
        downloads = pool.cache(f"apt/{codename}/archives")
        for name in ("lists/partial", "etc/parts", "empty"):
            (directory / name).mkdir(parents=True, exist_ok=True)
        (downloads / "partial").mkdir(exist_ok=True)
        (directory / "status").touch()
        apt = cls(codename=codename, directory=directory, downloads=downloads)
        apt.sources.write_text(sources_for(codename), encoding="utf-8")
        return apt

    @property
    def sources(self) -> Path:
        """Return the file that names the mirrors."""
        return self.directory / "etc" / "immutable.sources"

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

    def fetch(self, names: Sequence[str], status: Path, *, on_output: Output) -> None:
        """Download packages and what they need besides those that are installed.

        Args:
            names: the packages.
            status: dpkg's list of what is installed.
            on_output: gets each line.

        Raises:
            Unavailable: the mirrors cannot be reached.
            BuildFailed: there is no such package, or it cannot be fetched.
        """
        self.update(on_output)
        run(
            ["apt-get", "--quiet", "--yes", "install", "--download-only", *names],
            what=f"downloading {' '.join(names)}",
            on_output=on_output,
            variables=self.variables({"Dir::State::status": str(status)}),
        )

    def download(self, names: Sequence[str], on_output: Output) -> tuple[Path, ...]:
        """Download packages, without those they depend on, and return their files.

        Raises:
            BuildFailed: apt failed, or there is no such package.
        """
        found = capture(
            ["apt-get", "--quiet", "--quiet", "--print-uris", "download", *names],
            variables=self.variables(),
        )
        files = re.findall(r"^'\S+' (\S+\.deb) ", found, re.MULTILINE)
        missing = [name for name in files if not (self.downloads / name).is_file()]
        if missing:
            # apt downloads to the working directory and nowhere else.
            inside = [
                "env",
                f"--chdir={self.downloads}",
                "apt-get",
                "--quiet",
                "download",
            ]
            run(
                [*inside, *names],
                what="apt-get download",
                on_output=on_output,
                variables=self.variables(),
            )
        return tuple(self.downloads / name for name in files)

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
            "Acquire::Languages": "none",
            "Dir::Cache": f"{here}",
            "Dir::Cache::archives": f"{self.downloads}/",
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
        }


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
