"""Unbooted roots, small and made by hand."""

import contextlib
import functools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from immutable.images.packages import STATUS

if TYPE_CHECKING:
    from cyclonedx.validation.json import JsonStrictValidator

OS_RELEASE = 'NAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\n'
_NOBODY = 65534


def put(root: Path, path: str, text: str = "", *, mode: int = 0o644) -> Path:
    """Write a file of the image, and the directories above it."""
    made = root / path.lstrip("/")
    made.parent.mkdir(parents=True, exist_ok=True)
    made.write_text(text)
    made.chmod(mode)
    return made


def stanza(name: str, version: str, **more: str) -> str:
    """Return what dpkg notes of an installed package."""
    fields = {
        "Package": name,
        "Status": "install ok installed",
        "Architecture": "amd64",
        "Version": version,
        "Description": "a package\n that does\n .\n something",
        **more,
    }
    return "".join(f"{key}: {value}\n" for key, value in fields.items()) + "\n"


def debian(root: Path, *stanzas: str) -> Path:
    """Make a root with these packages."""
    put(root, "usr/lib/os-release", OS_RELEASE)
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc/os-release").symlink_to("../usr/lib/os-release")
    put(root, STATUS, "".join(stanzas))
    return root


def wheel(root: Path, name: str, version: str, where: str = "srv/venv") -> Path:
    """Note a Python package as pip does."""
    metadata = (
        f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n\nVersion: 9\n"
    )
    return put(root, f"{where}/{name}-{version}.dist-info/METADATA", metadata).parent


@contextlib.contextmanager
def as_nobody() -> Iterator[Path]:
    """Be a user whom the operating system refuses things, with a directory of its own."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        if user == 0:
            os.chown(name, _NOBODY, _NOBODY)
            os.seteuid(_NOBODY)
        try:
            yield Path(name)
        finally:
            os.seteuid(user)


def faults_of(bill: bytes) -> str | None:
    """Return what the official CycloneDX 1.6 schema has against a bill; None: nothing."""
    error = _validator().validate_str(bill.decode())
    return None if error is None else str(error)


@functools.cache
def _validator() -> "JsonStrictValidator":
    # late: seconds of work, in every worker, which one of them needs
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    return JsonStrictValidator(SchemaVersion.V1_6)
