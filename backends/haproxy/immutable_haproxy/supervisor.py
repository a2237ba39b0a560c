"""Keep one HAProxy running: ``python supervisor.py DIRECTORY [--detach]``.

It listens on the addresses and hands the sockets to HAProxy, so that connections wait
in the kernel, not refused, while a HAProxy that died is started again. It ends by
SIGTERM alone, and ends HAProxy with itself. Killed otherwise it leaves HAProxy serving;
the next one adopts it.

Runs by its path and with Python's own library alone: it starts in a few milliseconds,
and lives on when the packages around it are replaced. Exit status: 0 done, or another
one is at work; 98 an address is in use; 13 not permitted; 1 anything else.
"""

import contextlib
import errno
import fcntl
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import uuid
from types import FrameType
from typing import NoReturn

_SUPERVISOR_LOCK = "supervisor.lock"
_HAPROXY_LOCK = "haproxy.lock"
_LOG = "haproxy.log"
_MAX_LOG_BYTES = 2_000_000
_LOOK_EVERY_S = 60
_SETTLED_S = 2.0
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 5.0
_PATIENCE_S = 5.0
_BACKLOG = 1024


class Stop(Exception):
    """Somebody asked for the end."""


def main(arguments: list[str]) -> int:
    """Supervise the HAProxy of a directory until told to stop."""
    directory, *flags = arguments
    os.umask(0o077)
    os.chdir(directory)
    redirect_output()
    lock = take_lock(_SUPERVISOR_LOCK)
    if lock is None:
        return 0
    sockets = [] if holder_of(_HAPROXY_LOCK) else bind_all(read_addresses())
    if "--detach" in flags and os.fork():
        return 0
    write_pid(lock)
    signal.signal(signal.SIGTERM, _stop)
    try:
        supervise(sockets)
    except Stop:
        end_haproxy()
    return 0


def _stop(_number: int, _frame: FrameType | None) -> NoReturn:
    # Once: a second request must not interrupt the end that the first began.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stop


def supervise(sockets: list[socket.socket]) -> NoReturn:
    """Start HAProxy whenever none runs, at once or, when it keeps dying, ever later."""
    pause = 0.0
    while True:
        began = time.monotonic()
        try:
            pid = holder_of(_HAPROXY_LOCK)
            if not pid:
                sockets = sockets or bind_all(read_addresses())
                pid = start(sockets)
            watch(pid)
        except (OSError, ValueError, KeyError) as exc:
            say(f"cannot start: {exc}")
        lived = time.monotonic() - began
        pause = (
            0.0
            if lived > _SETTLED_S
            else min(pause * 2 or _FIRST_PAUSE_S, _LONGEST_PAUSE_S)
        )
        say(f"HAProxy ended after {lived:.1f} s; starting it in {pause:.2f} s")
        time.sleep(pause)


def read_settings() -> dict[str, object]:
    """Return what the switch recorded when it was set up."""
    with open("settings.json", encoding="utf-8") as file:  # noqa: PTH123 - fast to import
        settings: dict[str, object] = json.load(file)
    return settings


def read_addresses() -> list[tuple[str, int]]:
    """Return where to listen: production, then preview."""
    settings = read_settings()
    config = settings["config"]
    texts = [config["listen"] if isinstance(config, dict) else "", settings["preview"]]
    split = [str(text).rpartition(":") for text in texts]
    return [(host.strip("[]"), int(port)) for host, _, port in split]


def bind_all(addresses: list[tuple[str, int]]) -> list[socket.socket]:
    """Return sockets that listen on the addresses; HAProxy accepts from them."""
    return [bind(host, port) for host, port in addresses]


def bind(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address, which nobody else does.

    Without SO_REUSEPORT: another HAProxy would share the port, and half the traffic.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    link = socket.socket(family, socket.SOCK_STREAM)
    try:
        link.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            link.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        link.bind((host, port))
        link.listen(_BACKLOG)
    except OSError:
        link.close()
        raise
    return link


def start(sockets: list[socket.socket]) -> int:
    """Start HAProxy and return its process id."""
    lock = take_lock(_HAPROXY_LOCK)
    if lock is None:
        return holder_of(_HAPROXY_LOCK)
    os.ftruncate(lock, 0)
    numbers = [link.fileno() for link in sockets]
    environment = dict(os.environ) | {
        "IMMUTABLE_BOOT": uuid.uuid4().hex,
        "IMMUTABLE_LISTEN": str(numbers[0]),
        "IMMUTABLE_PREVIEW": str(numbers[1]),
    }
    process = subprocess.Popen(
        [str(read_settings()["program"]), "-db", "-f", "haproxy.cfg"],
        env=environment,
        pass_fds=[*numbers, lock],
        stdin=subprocess.DEVNULL,
        # The child writes its own id: who finds the lock held finds the right id in it.
        preexec_fn=lambda: write_pid(lock),  # noqa: PLW1509 - there are no threads here
    )
    os.close(lock)
    return process.pid


def watch(pid: int) -> None:
    """Return when a process has ended, whether it is our child or was adopted."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        # The lock still held proves that the number was not given to another process.
        while holder_of(_HAPROXY_LOCK) == pid and not _ended(handle):
            trim_log()
    finally:
        os.close(handle)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def _ended(handle: int) -> bool:
    return bool(select.select([handle], [], [], _LOOK_EVERY_S)[0])


def end_haproxy(directory: str = ".") -> None:
    """End HAProxy, kindly and then not, and return when it is gone."""
    end_holder(f"{directory}/{_HAPROXY_LOCK}")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{directory}/haproxy.sock")  # noqa: PTH108 - pathlib is slow to import


def end_holder(lock: str) -> None:
    """End the process that holds a lock file, and return when it is gone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        pid = holder_of(lock)
        if not pid:
            return
        with contextlib.suppress(ProcessLookupError):
            handle = os.pidfd_open(pid)
            # Held now still: the handle is the holder's, not some later process's.
            if holder_of(lock) == pid:
                signal.pidfd_send_signal(handle, number)
                select.select([handle], [], [], _PATIENCE_S)
            os.close(handle)


def take_lock(name: str) -> int | None:
    """Return a descriptor that holds a lock file, or None when another process does.

    Those who merely look hold it for an instant; that is waited out.
    """
    number = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for _ in range(20):
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.01)
        else:
            return number
    os.close(number)
    return None


def holder_of(name: str) -> int:
    """Return the process that holds a lock file, or 0 when nobody does.

    Between taking the lock and writing its id a holder is unknown for an instant; that
    is waited out.
    """
    try:
        number = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        for _ in range(100):
            if not is_locked(number):
                return 0
            if text := os.pread(number, 20, 0):
                return int(text)
            time.sleep(0.002)
        return 0
    finally:
        os.close(number)


def is_locked(number: int) -> bool:
    """Return whether another process holds the lock on an open file."""
    try:
        fcntl.flock(number, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(number, fcntl.LOCK_UN)
    return False


def write_pid(lock: int) -> None:
    """Write this process's id into a lock file."""
    os.ftruncate(lock, 0)
    os.pwrite(lock, str(os.getpid()).encode(), 0)


def redirect_output() -> None:
    """Send what this process and HAProxy say to the log."""
    number = os.open(_LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(number, 1)
    os.dup2(number, 2)
    os.close(number)


def trim_log() -> None:
    """Empty a log that has grown long; everyone appends, nobody loses their place."""
    with contextlib.suppress(OSError):
        if os.stat(_LOG).st_size > _MAX_LOG_BYTES:  # noqa: PTH116 - as above
            os.truncate(_LOG, 0)


def say(message: str) -> None:
    """Write one line to the log; a full disk is no reason to stop supervising."""
    with contextlib.suppress(OSError):
        os.write(2, f"supervisor {os.getpid()}: {message}\n".encode())


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except OSError as exc:
        say(str(exc))
        known = {errno.EADDRINUSE, errno.EACCES}
        sys.exit(exc.errno if exc.errno in known else 1)
