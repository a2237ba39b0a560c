"""Packer: running a template, and reading the manifest of what it made.

The template is run as it is, in a copy of its directory, by Packer 1.6.6, as Debian has
it. Its post-processor ``manifest`` says what it made
(https://developer.hashicorp.com/packer/docs/post-processors/manifest); a JSON template
without one gets one. The manifest says nothing of a disk's format: that is the builder's
``format`` or, from the manifest's ``custom_data``, the value ``format``.
"""

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import cast

import attrs

from immutable.errors import BuildFailed, InvalidInput
from immutable.images.origins import Packer
from immutable.images.record import Tool
from immutable.model import Digest
from immutable_libvirt.bootable import Format
from immutable_libvirt.building.disk import format_of
from immutable_libvirt.building.process import Output, capture, require, run
from immutable_libvirt.building.provisioning.handing import copied

_DEADLINE = timedelta(hours=2)  # templates that install from an ISO take long
# All that Packer starts, its machine too, ends with it, however it ends.
_NAMESPACE = ("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc")
_MANIFEST, _OWN_MANIFEST = "packer-manifest.json", "immutable-manifest.json"
_ACCELERATOR = "accelerator"
_DECLARED = re.compile(rf'^\s*variable\s+"{_ACCELERATOR}"', re.MULTILINE)
# Plug-ins meet on sockets in there, whose paths have at most 107 characters.
_LONGEST_TMPDIR = 80


@attrs.frozen(kw_only=True)
class Artefact:
    """The one file that a template made, and what it is said to be."""

    path: Path
    format: Format


def build(
    origin: Packer,
    *,
    expected: Digest,
    accelerator: str,
    cache: Path,
    work: Path,
    on_output: Output,
) -> Artefact:
    """Run a template and return the disk that it made.

    Args:
        origin: the template, what lies beside it, and variables.
        expected: the origin's digest when the recipe was read.
        accelerator: ``kvm`` or ``tcg``, for a template that declares a variable of that
            name and is not given it.
        cache: where Packer keeps what it downloads.
        work: an empty directory, in which the disk is.
        on_output: gets each line that Packer prints.

    Raises:
        Unavailable: Packer or QEMU is not installed.
        MissingFiles: the template is not there.
        InvalidInput: the template does not make exactly one disk.
        BuildFailed: Packer failed; holds its last lines.
    """
    require("packer", "qemu-img", "qemu-system-x86_64")
    folder = copied(origin.source, origin.template, work / "template")
    _check_unchanged(origin, expected)
    template = _Template.read(folder / origin.template)
    words = _words(origin, accelerator if template.takes_accelerator else None)
    command = ["env", f"--chdir={folder}", "packer", "build", "-color=false", *words]
    run(
        [*_NAMESPACE, *command, origin.template],
        what=f"packer build {origin.template}",
        variables=_variables(cache, work),
        deadline=_DEADLINE,
        on_output=on_output,
    )
    return artefact_of(folder / template.manifest, folder, template.format)


def _check_unchanged(origin: Packer, expected: Digest) -> None:
    if origin.digest() != expected:
        raise BuildFailed(
            "the template's files have changed while they were copied",
            hint="build again when nothing writes to them",
            operation="images.build",
            backend="libvirt",
        )


def _words(origin: Packer, accelerator: str | None) -> list[str]:
    """Return the variables as arguments; what was given goes before what we know."""
    known = {_ACCELERATOR: accelerator} if accelerator else {}
    given = known | dict(origin.variables)
    return [f"-var={name}={value}" for name, value in given.items()]


def version() -> Tool:
    """Return the Packer of this machine.

    Raises:
        Unavailable: it has none.
    """
    require("packer")
    said = capture(["packer", "version"], variables={"CHECKPOINT_DISABLE": "1"})
    return Tool(name="packer", version=said.split()[1].removeprefix("v"))


def artefact_of(manifest: Path, folder: Path, disk_format: str = "qcow2") -> Artefact:
    """Return what the last run in a manifest made.

    Args:
        manifest: what the post-processor ``manifest`` wrote.
        folder: where Packer was run: names in the manifest are relative to it.
        disk_format: what the disk is when the manifest does not say.

    Raises:
        InvalidInput: it is no such manifest, or the run made more or less than one file.
    """
    files, said = _last_run(manifest)
    if len(files) != 1:
        raise InvalidInput(
            f"the run that {manifest} tells of made {len(files)} files, not one disk",
            hint="use one builder that makes one disk, as type qemu does",
        )
    path = folder / files[0]
    if not path.exists():
        raise InvalidInput(
            f"{path}, which {manifest.name} names, is not there",
            hint=f"it is looked for below {folder}",
        )
    return Artefact(path=path, format=format_of(said or disk_format))


def _last_run(manifest: Path) -> tuple[list[str], str]:
    """Return the files of a manifest's last run, and the format that it says."""
    try:
        document = json.loads(manifest.read_bytes())
        last = document["last_run_uuid"]
        builds = [b for b in document["builds"] if b["packer_run_uuid"] == last]
        files = [str(f["name"]) for b in builds for f in b["files"] or ()]
        data = [b.get("custom_data") or {} for b in builds]
        said = [str(values["format"]) for values in data if "format" in values]
    except (OSError, ValueError, TypeError, KeyError) as exc:
        raise InvalidInput(
            f"{manifest} is no manifest of Packer's",
            hint='it is written by a post-processor of type "manifest"',
        ) from exc
    return files, said[-1] if said else ""


@attrs.frozen(kw_only=True)
class _Template:
    """What is known of a template without running it."""

    takes_accelerator: bool
    manifest: str
    format: str

    @classmethod
    def read(cls, path: Path) -> "_Template":
        """Read a template; one in JSON that writes no manifest is made to."""
        text = path.read_text(encoding="utf-8")
        if path.name.endswith(".hcl"):
            takes = bool(_DECLARED.search(text))
            return cls(takes_accelerator=takes, manifest=_MANIFEST, format="qcow2")
        document = _parsed(path, text)
        formats = [str(b.get("format", "qcow2")) for b in _rows(document, "builders")]
        manifests = [_manifest_of(row) for row in _post_processors(document)]
        found = next((name for name in manifests if name), None)
        template = cls(
            takes_accelerator=_ACCELERATOR in _declared(document),
            manifest=found or _OWN_MANIFEST,
            format=formats[0] if formats else "qcow2",
        )
        if found is None:
            path.write_text(_with_manifest(document, template.format), encoding="utf-8")
        return template


_Document = dict[str, object]


def _parsed(path: Path, text: str) -> _Document:
    try:
        document = json.loads(text)
    except ValueError as exc:
        raise InvalidInput(
            f"{path.name} is no template: {exc}", hint="is it HCL? Call it .pkr.hcl"
        ) from exc
    return document if isinstance(document, dict) else {}


def _rows(document: _Document, name: str) -> list[_Document]:
    rows = cast("list[object]", document.get(name) or [])
    return [row for row in rows if isinstance(row, dict)]


def _declared(document: _Document) -> _Document:
    return cast("_Document", document.get("variables") or {})


def _post_processors(document: _Document) -> Iterator[object]:
    """Yield a template's post-processors; those of a sequence are a list."""
    for row in cast("list[object]", document.get("post-processors") or []):
        yield from row if isinstance(row, list) else [row]


def _manifest_of(row: object) -> str | None:
    """Return where a post-processor writes its manifest, if it is of that type."""
    if row == "manifest":
        return _MANIFEST
    if isinstance(row, dict) and row.get("type") == "manifest":
        return str(row.get("output", _MANIFEST))
    return None


def _with_manifest(document: _Document, disk_format: str) -> str:
    ours = {"type": "manifest", "output": _OWN_MANIFEST}
    data = {"custom_data": {"format": disk_format}}
    before = cast("list[object]", document.get("post-processors") or [])
    return json.dumps(document | {"post-processors": [*before, ours | data]})


def _variables(cache: Path, work: Path) -> dict[str, str]:
    found = {
        "CHECKPOINT_DISABLE": "1",
        "PACKER_CACHE_DIR": str(cache),
        "PACKER_CONFIG_DIR": str(work / "config"),
        "PACKER_LOG": "",
    }
    (work / "config").mkdir()
    if len(str(work)) <= _LONGEST_TMPDIR:
        found["TMPDIR"] = str(work / "tmp")
        (work / "tmp").mkdir()
    return found
