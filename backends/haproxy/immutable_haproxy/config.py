"""What a ``haproxy://`` URL says, as one frozen value, checked before any effect."""

import hashlib
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Literal

import attrs

from immutable.durations import spell
from immutable.errors import InvalidInput
from immutable.model import ServiceName
from immutable.names import check_service_name
from immutable.urls import Url
from immutable_haproxy.options import (
    Address,
    as_address,
    as_directory,
    as_mode,
    as_port,
    as_switch,
    as_wait,
    read_option,
    require_option,
    whole,
)


@attrs.frozen(kw_only=True)
class Probing:
    """How the switch probes members.

    ``interval`` holds while a member is steady; it is probed every ``fast`` while it is
    down or changing. ``rise`` passes in a row make it ready, ``fall`` failures down.
    """

    interval: timedelta = timedelta(seconds=1)
    fast: timedelta = timedelta(milliseconds=100)
    rise: int = 2
    # a guest that is starved for a few seconds is slow, not dead: requests are retried
    # elsewhere meanwhile, and taking the last member away would fail every one of them
    fall: int = 8

    @classmethod
    def read(cls, options: Mapping[str, str]) -> "Probing":
        """Read the options that have these names."""
        default = cls()
        return cls(
            interval=read_option(options, "interval", as_wait, default.interval),
            fast=read_option(options, "fast", as_wait, default.fast),
            rise=read_option(options, "rise", whole(1, 100), default.rise),
            fall=read_option(options, "fall", whole(1, 100), default.fall),
        )


@attrs.frozen(kw_only=True)
class Timeouts:
    """How long HAProxy waits for others.

    ``connect`` bounds what a member that vanished costs a request before another member
    is tried; ``server`` bounds the wait for an answer, ``client`` that for a client.
    """

    connect: timedelta = timedelta(seconds=1)
    server: timedelta = timedelta(seconds=30)
    client: timedelta = timedelta(seconds=60)

    @classmethod
    def read(cls, options: Mapping[str, str]) -> "Timeouts":
        """Read the options that have these names."""
        default = cls()
        return cls(
            connect=read_option(options, "connect", as_wait, default.connect),
            server=read_option(options, "server", as_wait, default.server),
            client=read_option(options, "client", as_wait, default.client),
        )


@attrs.frozen(kw_only=True)
class HAProxyConfig:
    """All options of the switch. They are fixed when it is set up.

    Args:
        directory: where configuration, routing and the runtime socket live.
        listen: where clients connect.
        preview: where the previewed fleet is reached; None picks a free loopback port.
        preview_header: production also takes preview requests, by a secret header.
        mode: ``http`` routes each request, ``tcp`` each connection.
        reuse: connections to members are kept open between requests. Faster, but then
            a request that is not idempotent can fail when a member closes or dies.
        slots: how many fleets fit at once, for each kind of health check.
        threads: HAProxy's threads; None lets it use every processor.
        max_connections: how many client connections are served at once.
    """

    directory: Path
    listen: Address
    preview: Address | None = None
    preview_header: bool = False
    mode: Literal["http", "tcp"] = "http"
    reuse: bool = False
    slots: int = 6
    threads: int | None = None
    max_connections: int = 8_000
    probing: Probing = attrs.field(factory=Probing)
    timeouts: Timeouts = attrs.field(factory=Timeouts)

    @classmethod
    def from_url(cls, url: Url, *, service: ServiceName, port: int) -> "HAProxyConfig":
        """Read a URL such as ``haproxy://?listen=0.0.0.0:80&rise=3``.

        Args:
            url: its options are named like the fields of this class, of `Probing`
                and of `Timeouts`.
            service: names the default directory.
            port: the default port to listen on, on the loopback address.

        Raises:
            InvalidInput: an option is unknown, malformed or out of range.
        """
        check_service_name(service)
        _refuse_strangers(url)
        default = Address(host="127.0.0.1", port=as_port(port))
        options = {"directory": str(default_directory(service)), "listen": str(default)}
        return cls.from_options(options | dict(url.options))

    @classmethod
    def from_options(cls, options: Mapping[str, str]) -> "HAProxyConfig":
        """Read options, of which ``directory`` and ``listen`` must be given.

        Raises:
            InvalidInput: one is malformed or out of range, or two exclude each other.
        """
        config = _read(options)
        _check_together(config)
        return config

    def to_options(self) -> dict[str, str]:
        """Return the options from which `from_options` makes an equal value."""
        flat = {
            name: value
            for part in (self, self.probing, self.timeouts)
            for name, value in attrs.asdict(part, recurse=False).items()
            if value is not None and name not in {"probing", "timeouts"}
        }
        return {name: _spell(value) for name, value in flat.items()}


def default_directory(service: ServiceName) -> Path:
    """Return where a service's switch keeps its state when the URL does not say."""
    if os.geteuid() == 0:
        return Path("/var/lib/immutable/haproxy") / service
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(state) / "immutable" / "haproxy" / service


def _names(*classes: type[attrs.AttrsInstance]) -> set[str]:
    return {field.name for cls in classes for field in attrs.fields(cls)}


def _refuse_strangers(url: Url) -> None:
    if url.host or url.path not in {"", "/"}:
        raise InvalidInput(
            f"{url} names a host or a path", hint="write haproxy://?listen=ADDRESS:PORT"
        )
    names = _names(HAProxyConfig, Probing, Timeouts) - {"probing", "timeouts"}
    url.require_known(*names)


def _spell(value: object) -> str:
    if isinstance(value, timedelta):
        return spell(value)
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value)


def _read(options: Mapping[str, str]) -> HAProxyConfig:
    return HAProxyConfig(
        directory=require_option(options, "directory", as_directory),
        listen=require_option(options, "listen", as_address),
        preview=read_option(options, "preview", as_address, None),
        preview_header=read_option(options, "preview_header", as_switch, default=False),
        mode=read_option(options, "mode", as_mode, "http"),
        reuse=read_option(options, "reuse", as_switch, default=False),
        slots=read_option(options, "slots", whole(2, 100), 6),
        threads=read_option(options, "threads", whole(1, 64), None),
        max_connections=read_option(
            options, "max_connections", whole(10, 1_000_000), 8_000
        ),
        probing=Probing.read(options),
        timeouts=Timeouts.read(options),
    )


def _check_together(config: HAProxyConfig) -> None:
    if config.preview_header and config.mode == "tcp":
        raise InvalidInput(
            "preview_header=on needs mode=http", hint="use the preview port instead"
        )
    if config.preview is not None and config.preview.port == config.listen.port:
        raise InvalidInput(
            f"listen and preview share port {config.listen.port}",
            hint="give preview another port, or leave it out",
        )


def preview_candidates(service: str) -> list[int]:
    """Return the ports to try for the preview route: always the same for a service."""
    start = int.from_bytes(hashlib.sha256(service.encode()).digest()[:4], "big")
    return [20_000 + (start + offset) % 10_000 for offset in range(100)]
