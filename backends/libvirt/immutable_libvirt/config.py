"""The options of a ``libvirt://`` URL, as a typed value."""

import os
import re
from ipaddress import IPv4Network
from pathlib import Path
from typing import Literal, cast, get_args

import attrs

from immutable.errors import InvalidInput
from immutable.urls import Url

Acceleration = Literal["auto", "kvm", "tcg"]
Connection = Literal["system", "session"]

_SUBNET = IPv4Network("10.83.0.0/24")
_NETWORK = re.compile(r"[a-z][a-z0-9-]{0,31}")
# The kernel keeps 15 characters of an interface's name.
_BRIDGE = re.compile(r"[a-z][a-z0-9-]{0,14}")
_SMALLEST_PREFIX, _LARGEST_PREFIX = 16, 29
_OPTIONS = (
    "acceleration",
    "bridge",
    "disk_gib",
    "max_image_gib",
    "memory_mib",
    "network",
    "pool",
    "subnet",
    "vcpus",
)


@attrs.frozen(kw_only=True)
class LibvirtConfig:
    """Where instances run, what they are made of, and how large each one is.

    ``disk_gib`` is the ephemeral disk's virtual size: it takes room only as it is
    written. No image becomes larger than ``max_image_gib``. ``pool`` keeps images,
    instances and the logs of instances that are gone.
    """

    connection: Connection = "system"
    pool: Path
    network: str = "immutable"
    bridge: str = "immbr0"
    subnet: IPv4Network = _SUBNET
    memory_mib: int = 192
    vcpus: int = 1
    disk_gib: int = 2
    max_image_gib: int = 20
    acceleration: Acceleration = "auto"

    @property
    def uri(self) -> str:
        """Return the address of the libvirt daemon."""
        return f"qemu:///{self.connection}"

    @classmethod
    def parse(cls, url: Url) -> "LibvirtConfig":
        """Read ``libvirt:///system?…`` or ``libvirt:///session?…``.

        Raises:
            InvalidInput: an option is unknown, or has a value that can never work.
        """
        url.require_known(*_OPTIONS)
        connection = _connection(url)
        return cls(
            connection=connection,
            pool=_pool(url.option("pool", ""), connection),
            network=_named(url, "network", "immutable", _NETWORK),
            bridge=_named(url, "bridge", "immbr0", _BRIDGE),
            subnet=_subnet(url.option("subnet", str(_SUBNET))),
            memory_mib=_number(url, "memory_mib", default=192, least=64, most=1 << 20),
            vcpus=_number(url, "vcpus", default=1, least=1, most=256),
            disk_gib=_number(url, "disk_gib", default=2, least=1, most=1 << 14),
            max_image_gib=_number(
                url, "max_image_gib", default=20, least=1, most=1 << 14
            ),
            acceleration=_acceleration(url.option("acceleration", "auto")),
        )


def default_pool(connection: Connection) -> Path:
    """Return where images, instances and logs live when the URL does not say."""
    if connection == "system":
        return Path("/var/lib/immutable/libvirt")
    state = os.environ.get("XDG_STATE_HOME", "")
    home = Path(state) if state.startswith("/") else Path.home() / ".local/state"
    return home / "immutable/libvirt"


def _refuse(name: str, value: str, hint: str) -> InvalidInput:
    return InvalidInput(f"libvirt: {name}={value!r} cannot be used", hint=hint)


def _connection(url: Url) -> Connection:
    if url.host:
        message = f"libvirt: {url.host!r} is another machine"
        hint = "only this machine's libvirt is supported: write libvirt:///system"
        raise InvalidInput(message, hint=hint)
    if url.path == "/system":
        return "system"
    if url.path == "/session":
        return "session"
    raise _refuse("path", url.path, "write libvirt:///system")


def _pool(value: str, connection: Connection) -> Path:
    if not value:
        return default_pool(connection)
    path = Path(value)
    if not path.is_absolute() or ".." in path.parts or not value.isprintable():
        raise _refuse("pool", value, "give the absolute path of a directory")
    return path


def _named(url: Url, name: str, default: str, pattern: re.Pattern[str]) -> str:
    value = url.option(name, default)
    if not pattern.fullmatch(value):
        raise _refuse(name, value, f"it must match {pattern.pattern}")
    return value


def _number(url: Url, name: str, *, default: int, least: int, most: int) -> int:
    value = url.option(name, str(default))
    # isdecimal alone accepts digits of other scripts.
    if not (value.isascii() and value.isdecimal() and least <= int(value) <= most):
        raise _refuse(name, value, f"give a whole number from {least} to {most}")
    return int(value)


def _subnet(value: str) -> IPv4Network:
    hint = "give a private IPv4 network such as 10.83.0.0/24, from /16 to /29"
    try:
        subnet = IPv4Network(value)
    except ValueError as exc:
        raise _refuse("subnet", value, hint) from exc
    usable = _SMALLEST_PREFIX <= subnet.prefixlen <= _LARGEST_PREFIX
    if not (usable and subnet.is_private) or subnet.is_loopback or subnet.is_link_local:
        raise _refuse("subnet", value, hint)
    return subnet


def _acceleration(value: str) -> Acceleration:
    for known in get_args(Acceleration):
        if value == known:
            return cast("Acceleration", known)
    raise _refuse("acceleration", value, "choose auto, kvm or tcg")
