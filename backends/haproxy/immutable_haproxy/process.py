"""Start HAProxy and its restarter, see that they run, and end them."""

import errno
import hashlib
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

from immutable.errors import BackendError, Unavailable
from immutable_haproxy import supervisor
from immutable_haproxy.config import HAProxyConfig, preview_candidates
from immutable_haproxy.errors import (
    Silence,
    cannot_listen,
    missing,
    too_old,
    unreachable,
)
from immutable_haproxy.options import Address
from immutable_haproxy.runtime import conversation
from immutable_haproxy.settings import Settings
from immutable_haproxy.storage import Home

_PATIENCE = timedelta(seconds=15)
_OLDEST = (2, 6)
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_SYSTEMD = Path("/run/systemd/system")


def choose(service: str, config: HAProxyConfig) -> Settings:
    """Return settings for this machine, checked so far as can be without any effect.

    Raises:
        Unavailable: HAProxy is not installed, or the address is not this machine's.
        Unsupported: HAProxy is too old.
        Taken, PermissionDenied: an address cannot be listened on.
    """
    program = find_program(service)
    _check_version(program)
    _try_listening(config.listen)
    return Settings(
        service=service,
        config=config,
        preview=choose_preview(service, config),
        program=program,
        nonce=secrets.token_hex(16) if config.preview_header else "",
        **_identity(),
    )


def find_program(service: str) -> str:
    """Return HAProxy's path; users' search paths often lack ``/usr/sbin``."""
    path = os.pathsep.join([os.environ.get("PATH", ""), _SYSTEM_PATH])
    program = shutil.which("haproxy", path=path)
    if program is None:
        raise missing(service)
    return program


def _check_version(program: str) -> None:
    try:
        said = subprocess.run(
            [program, "-v"], capture_output=True, text=True, timeout=10, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError) as exc:
        raise unreachable(program, exc) from exc
    found = re.search(r"version (\d+)\.(\d+)", said)
    if found is None or (int(found[1]), int(found[2])) < _OLDEST:
        raise too_old(found[0] if found else said[:80])


def _try_listening(address: Address) -> None:
    try:
        supervisor.bind(address.host, address.port).close()
    except OSError as exc:
        raise cannot_listen(address, exc) from exc


def choose_preview(service: str, config: HAProxyConfig) -> Address:
    """Return where the preview route will listen: always the same while that is free.

    Raises:
        Taken, PermissionDenied, Unavailable: the address cannot be listened on.
    """
    if config.preview is not None:
        _try_listening(config.preview)
        return config.preview
    refused: BackendError | None = None
    for port in preview_candidates(service):
        address = Address(host="127.0.0.1", port=port)
        try:
            if port != config.listen.port:
                _try_listening(address)
                return address
        except BackendError as exc:
            refused = exc
    raise refused or Unavailable("no port is free for the preview route")


def _identity() -> dict[str, str]:
    """Return whom HAProxy is to become, where we are root and its package made a user."""
    import grp
    import pwd

    if os.geteuid() != 0:
        return {}
    try:
        user, group = pwd.getpwnam("haproxy"), grp.getgrnam("haproxy")
    except KeyError:
        return {}
    return {"user": user.pw_name, "group": group.gr_name}


def is_supervised(home: Home) -> bool:
    """Return whether a restarter is at work."""
    return supervisor.holder_of(str(home.directory / "supervisor.lock")) != 0


def check_configuration(home: Home, settings: Settings) -> None:
    """Let HAProxy itself judge the configuration before it is started with it.

    Raises:
        Unavailable: with what HAProxy says.
    """
    # It insists on a real socket behind each number, though it will not listen.
    with socket.create_server(("127.0.0.1", 0)) as link:
        number = link.fileno()
        done = subprocess.run(
            [settings.program, "-c", "-f", home.configuration.name],
            cwd=home.directory,
            env={"IMMUTABLE_LISTEN": str(number), "IMMUTABLE_PREVIEW": str(number)},
            pass_fds=[number],
            capture_output=True,
            text=True,
            timeout=_PATIENCE.total_seconds(),
            check=False,
        )
    if done.returncode != 0:
        raise Unavailable(
            f"HAProxy refuses its configuration: {done.stderr.strip()[-500:]}",
            hint="report this, with the options of the switch",
            resource=str(home.directory),
            backend="haproxy",
        )


def ensure_running(home: Home, settings: Settings) -> None:
    """Start whatever does not run, and return when HAProxy answers.

    Raises:
        Taken, PermissionDenied, Unavailable: it cannot run.
    """
    deadline = time.monotonic() + _PATIENCE.total_seconds()
    pause = 0.002
    while True:
        if not is_supervised(home):
            _start_supervisor(home, settings)
        try:
            with conversation(home.socket):
                return
        except Silence as exc:
            if time.monotonic() > deadline:
                raise unreachable(str(home.directory), exc, log=home.log) from exc
        time.sleep(pause)
        pause = min(pause * 2, 0.2)


def _start_supervisor(home: Home, settings: Settings) -> None:
    try:
        done = subprocess.run(
            supervisor_command(home, settings.service, systemd=_has_systemd()),
            cwd="/",
            env={"PATH": _SYSTEM_PATH},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE if _has_systemd() else subprocess.DEVNULL,
            start_new_session=True,
            timeout=_PATIENCE.total_seconds(),
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as exc:
        raise unreachable(str(home.directory), exc, log=home.log) from exc
    if done.returncode != 0:
        raise _start_failure(home, settings, done.returncode)


def supervisor_command(home: Home, service: str, *, systemd: bool) -> list[str]:
    """Return the command that starts the restarter out of this process's reach.

    Args:
        home: the switch's directory.
        service: names the systemd unit.
        systemd: run it as a transient unit, rather than in a session of its own.
    """
    python = sys.executable or "/usr/bin/python3"
    own = [python, "-I", "-S", supervisor.__file__, str(home.directory)]
    if not systemd:
        return [*own, "--detach"]
    properties = ("Restart=on-failure", "RestartSec=100ms", "KillMode=process")
    place = hashlib.sha256(bytes(home.directory)).hexdigest()[:8]
    return [
        "systemd-run",
        "--quiet",
        "--collect",
        f"--unit=immutable-haproxy-{service}-{place}",
        *(f"--property={text}" for text in (*properties, "LimitNOFILE=262144")),
        *own,
    ]


def _has_systemd() -> bool:
    return os.geteuid() == 0 and _SYSTEMD.is_dir()


def _start_failure(home: Home, settings: Settings, status: int) -> BackendError:
    if status in {errno.EADDRINUSE, errno.EACCES}:
        for address in (settings.config.listen, settings.preview):
            try:
                _try_listening(address)
            except BackendError as exc:
                return exc
    return unreachable(
        str(home.directory), f"its restarter ended with status {status}", log=home.log
    )


def end(home: Home) -> None:
    """End the restarter, then HAProxy; return when both are gone."""
    supervisor.end_holder(str(home.directory / "supervisor.lock"))
    supervisor.end_haproxy(str(home.directory))
