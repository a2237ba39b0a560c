"""The host's apt sources, rewritten for the release that an image is made of.

The host says where packages come from: mirrors, proxies and keys are its
administrator's business and are written nowhere in this library.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from immutable.errors import Unavailable
from immutable_libvirt.building.process import capture

Stanza = dict[str, str]
_FIELD = re.compile(r"^([A-Za-z-]+):[ \t]*(.*(?:\n[ \t].*)*)", re.MULTILINE)
_PARTS = ("", "-updates", "-security")
_SUITE_AND_COMPONENTS = 3


def sources_for(codename: str) -> str:
    """Return the sources of a Debian release in apt's deb822 form.

    Raises:
        Unavailable: this host has no sources of Debian to take after.
    """
    host = _host_codename()
    stanzas = [rewritten(stanza, host, codename) for stanza in _host_stanzas()]
    usable = [stanza for stanza in stanzas if stanza.get("Suites")]
    if not usable:
        raise Unavailable(
            "this host's apt sources name no Debian archive",
            hint="base images are built where apt itself installs from Debian",
            operation="images.build",
            backend="libvirt",
        )
    return "\n".join(_rendered(stanza) for stanza in usable)


def parse_deb822(text: str) -> Iterator[Stanza]:
    """Yield the stanzas of a ``.sources`` file; long values keep their lines."""
    kept = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for block in re.split(r"\n\s*\n", kept):
        fields = re.findall(
            r"^([A-Za-z-]+):[ \t]*(.*(?:\n[ \t].*)*)", block, re.MULTILINE
        )
        if fields:
            yield {name.title(): value for name, value in fields}


def parse_list(text: str) -> Iterator[Stanza]:
    """Yield the lines of a ``.list`` file as stanzas."""
    for line in text.splitlines():
        match = re.match(r"deb\s+(?:\[(.*?)\]\s+)?([^#]*)", line.strip())
        words = match[2].split() if match else []
        if match and len(words) >= _SUITE_AND_COMPONENTS:
            options = re.findall(r"(\S+?)=(\S+)", match[1] or "")
            yield {
                _option(name): value.replace(",", " ") for name, value in options
            } | {
                "Types": "deb",
                "Uris": words[0],
                "Suites": words[1],
                "Components": " ".join(words[2:]),
            }


def _option(name: str) -> str:
    return {"arch": "Architectures", "lang": "Languages"}.get(name, name.title())


def rewritten(stanza: Stanza, host: str, codename: str) -> Stanza:
    """Return a stanza for another release; without suites when none is of use."""
    wanted = {f"{host}{part}": f"{codename}{part}" for part in _PARTS}
    enabled = stanza.get("Enabled", "yes").lower() not in {"no", "false", "0"}
    binary = "deb" in stanza.get("Types", "").split() and enabled
    suites = [wanted[s] for s in stanza.get("Suites", "").split() if s in wanted]
    return stanza | {"Types": "deb", "Suites": " ".join(suites) if binary else ""}


def _rendered(stanza: Stanza) -> str:
    return "".join(f"{name}: {value}\n" for name, value in sorted(stanza.items()))


def _host_codename() -> str:
    release = Path("/etc/os-release").read_text(encoding="utf-8")
    fields = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', release, re.MULTILINE))
    return fields.get("VERSION_CODENAME", "") if fields.get("ID") == "debian" else ""


def _host_stanzas() -> Iterator[Stanza]:
    for path in _host_files():
        parse = parse_deb822 if path.suffix == ".sources" else parse_list
        yield from parse(path.read_text(encoding="utf-8", errors="replace"))


def _host_files() -> list[Path]:
    places = capture(
        [
            "apt-config",
            "shell",
            "A",
            "Dir::Etc::sourcelist/f",
            "B",
            "Dir::Etc::sourceparts/d",
        ],
        variables={},
    )
    single, parts = (Path(text) for text in re.findall(r"='(.*)'", places))
    files = [*parts.glob("*.list"), *parts.glob("*.sources")]
    return [path for path in (single, *sorted(files)) if path.is_file()]
