"""What a recipe begins from: a distribution, an image that exists, a Packer template."""

import re
from pathlib import Path

import attrs

from immutable.errors import InvalidInput
from immutable.images.content import inventory
from immutable.model import Digest, ImageId, digest_of, pairs

PYTHONS = {
    "debian:11": "3.9",
    "debian:12": "3.11",
    "debian:13": "3.13",
    "ubuntu:22.04": "3.10",
    "ubuntu:24.04": "3.12",
}
"""The one Python that each distribution ships and keeps secure.

From packages.debian.org and packages.ubuntu.com, package ``python3``.
"""


@attrs.frozen(kw_only=True)
class Existing:
    """An image to build upon, known by its id and by what it must contain."""

    image: ImageId
    content: Digest

    def digest(self) -> Digest:
        """Return the digest of the image's contents: what it is called is nothing."""
        return digest_of("existing", self.content)


@attrs.frozen(kw_only=True)
class Packer:
    """A Packer template whose artefact is the image; ``source`` is its directory."""

    source: Path
    template: str
    variables: tuple[tuple[str, str], ...] = attrs.field(default=(), converter=pairs)

    def digest(self) -> Digest:
        """Return the digest of the template, what lies beside it, and the variables.

        Raises:
            MissingFiles: the source is not there.
        """
        tree = [(e.name, e.kind, e.mode, e.content) for e in inventory(self.source)]
        return digest_of("packer", self.template, self.variables, tree)


Origin = str | Existing | Packer
"""A distribution is written ``distribution:version``, or is a cloud's own image by its id."""
# An id means the same bytes for ever; a cloud's name for an image does not.
_BASE = re.compile(r"[a-z]+:[a-z0-9.]+|ami-[0-9a-f]{8}([0-9a-f]{9})?")


def digest_of_origin(origin: Origin) -> Digest:
    """Return the digest that the first layer is built upon."""
    return digest_of("base", origin) if isinstance(origin, str) else origin.digest()


def check_distribution(name: object) -> str:
    """Return the name of a distribution, or the id of a cloud's image.

    Raises:
        InvalidInput: it is not ``distribution:version``, and no such id.
    """
    if not isinstance(name, str) or not _BASE.fullmatch(name):
        raise InvalidInput(
            f"base {name!r} is not distribution:version", hint='try "debian:12"'
        )
    return name


def check_version(version: object) -> None:
    """Refuse what is no version of Python.

    Raises:
        InvalidInput: it is not written as ``"3.13"``: a number would lose its zeros.
    """
    if not isinstance(version, str) or not re.fullmatch(r"3\.[0-9]{1,2}", version):
        hint = 'write it in quotes, as "3.13"'
        raise InvalidInput(f"{version!r} is no version of Python", hint=hint)


def check_python(version: str, origin: Origin) -> str:
    """Return a version of Python that the origin is not known to lack.

    Raises:
        InvalidInput: it is no version, or the distribution ships another one.
    """
    check_version(version)
    shipped = PYTHONS.get(origin) if isinstance(origin, str) else None
    if shipped not in {None, version}:
        raise InvalidInput(
            f"{origin} has Python {shipped}, not {version}",
            hint=f"use {_bases_with(version)}",
        )
    return version


def base_with_python(version: str, origin: Origin) -> Origin:
    """Return the nearest origin with this Python: the given one where it has it.

    A distribution keeps one Python secure; another one means another release of it.

    Raises:
        InvalidInput: no release of this distribution has it.
    """
    check_version(version)
    if not isinstance(origin, str) or PYTHONS.get(origin, version) == version:
        return origin
    family = origin.partition(":")[0]
    for name, shipped in PYTHONS.items():
        if shipped == version and name.startswith(f"{family}:"):
            return name
    raise InvalidInput(
        f"no {family} has Python {version}", hint=f"use {_bases_with(version)}"
    )


def _bases_with(version: str) -> str:
    found = [name for name, shipped in PYTHONS.items() if shipped == version]
    known = ", ".join(f"{shipped} ({name})" for name, shipped in PYTHONS.items())
    return f"base {' or '.join(found)}" if found else f"one of {known}"
