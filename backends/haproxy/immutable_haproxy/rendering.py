"""HAProxy's configuration as text: the same settings and members, the same bytes."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from immutable_haproxy.config import Probing
from immutable_haproxy.probing import check_words, milliseconds
from immutable_haproxy.routing import FAMILIES, Family, slots_of

if TYPE_CHECKING:
    from immutable_haproxy.servers import Server
    from immutable_haproxy.settings import Settings

MAP = "routing.map"
BOOT = "IMMUTABLE_BOOT"
"""The variable by which a HAProxy process tells which start it is."""
PREVIEW_HEADER = "X-Immutable-Preview"
_FIRST_LINE = "# Written by immutable-deploy-haproxy; changes made by hand are lost."


def render(settings: "Settings", members: "Iterable[Server]") -> str:
    """Return the whole configuration. Its values were checked when they were read."""
    listed = tuple(members)
    sections = [_global(settings), _defaults(settings), *_frontends(settings)]
    for family in FAMILIES:
        for slot in slots_of(family, settings.config.slots):
            own = [server for server in listed if server.slot == slot]
            sections.append(_backend(settings, family, slot, own))
    return "\n".join([_FIRST_LINE, "", *("\n".join(s) + "\n" for s in sections)])


def _global(settings: "Settings") -> list[str]:
    threads = settings.config.threads
    return [
        "global",
        "    stats socket unix@haproxy.sock mode 600 level admin",
        "    stats timeout 60s",
        f"    maxconn {settings.config.max_connections}",
        # A low limit on open files makes it serve fewer, rather than not start.
        "    no strict-limits",
        *([f"    nbthread {threads}"] if threads else []),
        *([f"    user {settings.user}"] if settings.user else []),
        *([f"    group {settings.group}"] if settings.group else []),
    ]


def _defaults(settings: "Settings") -> list[str]:
    config, times = settings.config, settings.config.timeouts
    return [
        "defaults",
        f"    mode {config.mode}",
        "    balance roundrobin",
        f"    maxconn {config.max_connections}",
        f"    timeout connect {milliseconds(times.connect)}",
        f"    timeout server {milliseconds(times.server)}",
        f"    timeout client {milliseconds(times.client)}",
        f"    timeout queue {milliseconds(times.connect)}",
        f"    timeout check {milliseconds(5 * times.connect)}",
        # A member that vanished without a word is noticed after three seconds.
        "    option srvtcpka",
        "    srvtcpka-idle 1s",
        "    srvtcpka-intvl 1s",
        "    srvtcpka-cnt 2",
        "    retries 8",
        "    option redispatch 1",
        *(_http_defaults(settings) if config.mode == "http" else []),
    ]


def _http_defaults(settings: "Settings") -> list[str]:
    return [
        f"    timeout http-keep-alive {milliseconds(settings.config.timeouts.client)}",
        "    timeout http-request 10s",
        "    option forwardfor",
        "    retry-on conn-failure empty-response response-timeout",
        "    http-reuse safe"
        if settings.config.reuse
        else "    option http-server-close",
    ]


def _frontends(settings: "Settings") -> list[list[str]]:
    http = settings.config.mode == "http"
    retries = [
        # What was sent may have been acted upon: only repeat what may be repeated.
        "    http-request disable-l7-retry unless METH_GET or { method HEAD OPTIONS }"
    ]
    if not http:
        retries = []
    previewed = f"    use_backend %[str(preview),map({MAP})]"
    return [
        [
            "frontend production",
            '    bind "fd@${IMMUTABLE_LISTEN}"',
            *retries,
            *(_preview_header(settings.nonce) if settings.nonce else []),
            f"    use_backend %[rand(100),map({MAP})]",
        ],
        ["frontend preview", '    bind "fd@${IMMUTABLE_PREVIEW}"', *retries, previewed],
    ]


def _preview_header(nonce: str) -> list[str]:
    given = f"{{ req.hdr({PREVIEW_HEADER}) -m str {nonce} }}"
    asked = "{ var(txn.previewed) -m bool }"
    exists = f"{{ str(preview),map({MAP}) -m found }}"
    return [
        f"    http-request set-var(txn.previewed) bool(true) if {given}",
        f"    http-request del-header {PREVIEW_HEADER}",
        f"    http-request deny deny_status 503 if {asked} !{exists}",
        f"    use_backend %[str(preview),map({MAP})] if {asked}",
    ]


def _backend(
    settings: "Settings", family: Family, slot: str, servers: "list[Server]"
) -> list[str]:
    return [
        f"backend {slot}",
        *(_http_check(slot) if family == "http" else ["    option tcp-check"]),
        *(_server_line(server, settings.config.probing) for server in servers),
    ]


def _http_check(slot: str) -> list[str]:
    # Looked up at each probe, so that a slot needs no reload to be used again.
    path = f'"%[str(path.{slot}),map({MAP},/)]"'
    return [
        "    option httpchk",
        f"    http-check send meth GET uri-lf {path} ver HTTP/1.1 hdr Host localhost",
        "    http-check expect status 200-399",
    ]


def _server_line(server: "Server", probing: Probing) -> str:
    where = f"[{server.address}]" if ":" in server.address else server.address
    words = check_words(server.check_port, probing)
    return f"    server {server.name} {where}:{server.port} {words}"
