"""Whether a package is installed, by the image's own list of packages."""

import fnmatch

import attrs

from immutable.errors import ImmutableError, InvalidInput
from immutable.images import unbooted
from immutable.images.packages import STATUS, debian_packages
from immutable.images.packages import Package as Installed
from immutable.images.proof.checking import (
    Judgement,
    digest_of_check,
    failed,
    passed,
    undecided,
)
from immutable.images.proof.places import Place, Root, Target
from immutable.model import Digest


@attrs.frozen(kw_only=True)
class Package:
    """A package that must be installed, or must not be."""

    package: str = attrs.field()
    versions: tuple[str, ...] = ()
    is_installed: bool = True

    @package.validator
    def _check_package(self, _attribute: object, value: str) -> None:
        if not value.strip():
            raise InvalidInput("a package without a name", hint="name it")

    @property
    def name(self) -> str:
        """Return the name under which it is recorded."""
        wanted = " or ".join(self.versions)
        absent = "" if self.is_installed else ", installed=False"
        return f"package({self.package}{wanted and f' {wanted}'}{absent})"

    @property
    def needs(self) -> tuple[Place, ...]:
        """Return the root: that is where the list of packages is."""
        return (Place.ROOT,)

    @property
    def digest(self) -> Digest:
        """Return a digest of what is asked for."""
        return digest_of_check(self)

    def judge(self, target: Target) -> Judgement:
        """Look the package up; without a list that can be read, it is undecided."""
        if not isinstance(target, Root):
            return undecided(self.name, "packages are looked up in an unbooted root")
        try:
            if unbooted.located(target.path, STATUS) is None:
                return undecided(self.name, f"it has no /{STATUS}")
            packages = debian_packages(target.path)
            found = [p for p in packages if self._is(p.name)]
        except ImmutableError as exc:
            return undecided(self.name, exc.message)
        return self._judged(found)

    def _is(self, name: str) -> bool:
        return name == self.package.partition(":")[0]

    def _judged(self, found: list[Installed]) -> Judgement:
        said = f"version {', '.join(map(_told, found))}" if found else "not installed"
        if not self.is_installed:
            return failed(self.name, said) if found else passed(self.name, said)
        if any(each.is_whole and self._will_do(each.version) for each in found):
            return passed(self.name, said)
        return failed(self.name, said)

    def _will_do(self, version: str) -> bool:
        wanted = self.versions or ("*",)
        return any(fnmatch.fnmatchcase(version, pattern) for pattern in wanted)


def _told(package: Installed) -> str:
    return package.version if package.is_whole else f"{package.version}, in part only"


def package(
    name: str, version: str | tuple[str, ...] | None = None, *, installed: bool = True
) -> Package:
    """Return a check that a package is installed.

    Args:
        name: as the distribution calls it.
        version: the whole version, or several that will do; ``*`` stands for anything,
            as in ``"3.11.*"``.
        installed: False where it must not be there.

    Raises:
        InvalidInput: the name is empty.
    """
    versions = (version,) if isinstance(version, str) else (version or ())
    return Package(package=name, versions=versions, is_installed=installed)
