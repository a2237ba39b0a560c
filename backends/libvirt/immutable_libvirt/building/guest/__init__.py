"""What an instance is handed at boot: the files of its ``config`` disk.

The disk is a raw tar archive without a filesystem. The guest's init unpacks it to
``/run/immutable``, a tmpfs, before anything else runs:

- ``config.json``: the configuration document, as it was given;
- ``identity.json``: who the instance is, a flat object of strings;
- ``network``: shell variables ``ADDRESS PREFIX GATEWAY DNS``, read by init;
- ``hostname``: one line;
- ``environment``: the configuration as ``export`` lines, read before each service.
"""

import io
import json
import re
import shlex
import tarfile
from collections.abc import Mapping

import attrs

from immutable.errors import InvalidInput

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HOSTNAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,62})")


@attrs.frozen(kw_only=True)
class GuestNetwork:
    """The static address of an instance's first network card.

    Without an ``address`` only the loopback interface is set up. ``dns`` are the
    addresses of name servers.
    """

    hostname: str
    address: str = ""
    prefix: int = 24
    gateway: str = ""
    dns: tuple[str, ...] = ()


def guest_files(
    document: str, identity: Mapping[str, str], network: GuestNetwork
) -> dict[str, bytes]:
    """Return the files of the ``config`` disk by name.

    Args:
        document: the release's configuration: a JSON object whose key
            ``configuration`` holds an object of strings.
        identity: who the instance is; becomes ``identity.json``.
        network: its address and name.

    Raises:
        InvalidInput: the document or the host name cannot be used.
    """
    if not _HOSTNAME.fullmatch(network.hostname):
        raise InvalidInput(
            f"{network.hostname!r} is no host name", hint="use [a-z0-9-], at most 63"
        )
    texts = {
        "config.json": document,
        "environment": _environment(document),
        "hostname": f"{network.hostname}\n",
        "identity.json": json.dumps(dict(identity), sort_keys=True, indent=1) + "\n",
        "network": _network(network),
    }
    return {name: text.encode() for name, text in texts.items()}


def guest_disk(files: Mapping[str, bytes]) -> bytes:
    """Return the ``config`` disk: a tar archive padded to whole sectors.

    Equal files give equal bytes.
    """
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o444
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _network(network: GuestNetwork) -> str:
    variables = {
        "ADDRESS": network.address,
        "PREFIX": str(network.prefix),
        "GATEWAY": network.gateway,
        "DNS": " ".join(network.dns),
    }
    lines = (f"{name}={shlex.quote(value)}\n" for name, value in variables.items())
    return "".join(lines)


def _environment(document: str) -> str:
    """Render those keys that can be names of variables; the others stay in the JSON."""
    lines = (
        f"export {name}={shlex.quote(value)}\n"
        for name, value in sorted(_configuration(document).items())
        if _VARIABLE.fullmatch(name)
    )
    return "".join(lines)


def _configuration(document: str) -> dict[str, str]:
    try:
        configuration = json.loads(document).get("configuration", {})
        return {str(name): str(value) for name, value in configuration.items()}
    except (ValueError, AttributeError) as exc:
        raise InvalidInput(
            "the configuration document is no JSON object of the expected form",
            hint='give {"configuration": {"key": "value"}}',
        ) from exc
