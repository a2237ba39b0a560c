"""What a builder runs: it fetches its work, does it as root, says so, and powers off.

Sent as user data, which cloud-init runs at the first boot. It needs Python 3.8, tar and
unshare; whatever else the work needs is the image's own. It holds no credentials: each of its
requests was signed by whoever started the builder, and expires.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import http.client
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path

SETTINGS = json.loads(r"""{}""")
PLACE = Path("/var/tmp/immutable-bake")  # noqa: S108 - private, and made by root alone
UNIT = "immutable-bake"
LINE_CHARS, BATCH_LINES = 4000, 500
# Of what is sent at once: with one line more, and however it is escaped, it is less than
# the 4 MiB that are signed for.
BATCH_BYTES = 1 << 20
TRIES, PAUSE_S, TIMEOUT_S = 8, 1.0, 30.0
# When all is said and done it is tried for so long to be heard.
LAST_S = 120.0
FAILURES = (OSError, http.client.HTTPException)
SYSTEMD = Path("/run/systemd/system")
# Images of Debian's kind update themselves at their first boot. First nothing more begins.
UPDATES = (
    ("apt-daily.timer", "apt-daily-upgrade.timer"),
    ("unattended-upgrades.service",),
    ("apt-daily.service", "apt-daily-upgrade.service"),
)
# Whoever installs or updates holds one of them, by fcntl. cloud-init knows the same:
# cloudinit/distros/package_management/apt.py
LOCKS = (
    Path("/var/lib/dpkg/lock-frontend"),
    Path("/var/lib/dpkg/lock"),
    Path("/var/cache/apt/archives/lock"),
    Path("/var/lib/apt/lists/lock"),
)
# Less than the five minutes in which work has to begin.
QUIET_S = 120.0
SUBREAPER = 36
# What of the builder must not be in the image: who it was, and what it was told.
STALE = (
    "var/lib/cloud/*",
    "var/lib/systemd/random-seed",
    "var/lib/systemd/credential.secret",
    "var/lib/dhcp/*",
    "var/lib/NetworkManager/*lease*",
    "var/log/cloud-init*.log",
    "var/log/journal/*",
    "etc/ssh/ssh_host_*",
    "root/.ssh/authorized_keys",
    "home/*/.ssh/authorized_keys",
    "root/.bash_history",
)


class Reporter:
    """Sends what is said as numbered objects, in order, from a thread of its own."""

    def __init__(self) -> None:
        """Begin with nothing said."""
        self._said: queue.Queue[tuple[str, str] | None] = queue.Queue()
        self._number = 0
        self._is_closing = False
        self._patience = 0.0
        self._thread = threading.Thread(target=self._send_all, daemon=True)
        self._thread.start()

    def line(self, text: str) -> None:
        """Say a line that the work has printed."""
        self._said.put(("lines", text[:LINE_CHARS]))

    def report(self, **fields: object) -> None:
        """Say what has happened."""
        self._said.put(("reports", json.dumps({"schema": 1, **fields})))

    def close(self) -> None:
        """Wait until everything is sent, or nothing was for a while."""
        self._patience = time.monotonic() + LAST_S
        self._is_closing = True
        self._said.put(None)
        self._thread.join()

    def _send_all(self) -> None:
        is_open = True
        while is_open:
            batch: dict[str, list[str]] = {"lines": [], "reports": []}
            is_open = self._collect(batch)
            if batch["lines"] or batch["reports"]:
                self._send(json.dumps(batch).encode())

    def _collect(self, batch: dict[str, list[str]]) -> bool:
        """Fill a batch; a report ends it, so that lines stay before what follows them."""
        deadline, size = time.monotonic() + PAUSE_S, 0
        for count in range(BATCH_LINES):
            wait = deadline - time.monotonic() if count else None
            try:
                said = self._said.get(timeout=None if wait is None else max(wait, 0))
            except queue.Empty:
                return True
            if said is None:
                return False
            batch[said[0]].append(said[1])
            size += len(json.dumps(said[1]))
            if said[0] == "reports" or size >= BATCH_BYTES:
                return True
        return True

    def _send(self, body: bytes) -> None:
        """Send a batch until it has arrived: whoever reads waits for its number.

        The machine is switched off when it is of no use any more; see ``main``.
        """
        fields = dict(SETTINGS["post"]["fields"])
        fields["key"] = f"{SETTINGS['said']}{self._number:08}"
        url, (kind, form) = SETTINGS["post"]["url"], form_of(fields, body)
        sent = urllib.request.Request(url, data=form, headers={"Content-Type": kind})  # noqa: S310 - as signed
        tried = 0
        while True:
            try:
                urllib.request.urlopen(sent, timeout=TIMEOUT_S).close()  # noqa: S310 - as signed
                break
            except FAILURES:
                tried += 1
            if self._is_closing and time.monotonic() > self._patience:
                return
            time.sleep(PAUSE_S * min(tried, TRIES))
        self._number += 1
        self._patience = time.monotonic() + LAST_S


def form_of(fields: dict[str, str], body: bytes) -> tuple[str, bytes]:
    """Return a form's content type, and the form, with the body as its file, last."""
    mark = uuid.uuid4().hex
    parts = [
        f'--{mark}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    head = 'Content-Disposition: form-data; name="file"; filename="said"'
    parts.append(f"--{mark}\r\n{head}\r\n\r\n")
    form = "".join(parts).encode() + body + f"\r\n--{mark}--\r\n".encode()
    return f"multipart/form-data; boundary={mark}", form


def persist(attempt: object) -> None:
    """Try again when the network, or the other side, is not there yet.

    Raises:
        OSError, http.client.HTTPException: it never was.
    """
    for left in reversed(range(TRIES)):
        try:
            attempt()  # type: ignore[operator]  # a function: this runs on old Pythons, too
        except FAILURES:
            if not left:
                raise
            time.sleep(PAUSE_S * (TRIES - left))
        else:
            return


def fetch(target: Path) -> None:
    """Fetch the work, and check that it is what was meant.

    Raises:
        OSError: it is not to be had.
        ValueError: it is something else.
    """

    def get() -> None:
        answer = urllib.request.urlopen(SETTINGS["get"], timeout=TIMEOUT_S)  # noqa: S310 - as signed
        with answer, target.open("wb") as stream:
            shutil.copyfileobj(answer, stream)

    persist(get)
    digest = hashlib.sha256()
    with target.open("rb") as stream:
        for block in iter(lambda: stream.read(1 << 20), b""):
            digest.update(block)
    if digest.hexdigest() != SETTINGS["sha256"]:
        raise ValueError("the work is not what was handed over")


def run_works(works: Path, reporter: Reporter) -> bool:
    """Do each piece of work; return whether none failed."""
    number = 0
    while (work := works / f"{number:04}").is_dir():
        taken = [hand_over(path) for path in sorted(work.glob("handed/*"))]
        taken += [hand_over(path, "rw") for path in sorted(work.glob("writable/*"))]
        reporter.report(event="begun", work=number)
        status = run_work(work / "run", number, reporter)
        for name in taken:
            take_back(name)
        reporter.report(event="ended", work=number, status=status)
        if status:
            return False
        number += 1
    return True


def hand_over(path: Path, mode: str = "ro") -> Path:
    """Let a file or tree be found below ``/run``."""
    name = Path("/run") / path.name
    if path.is_dir():
        name.mkdir()
    else:
        name.touch()
    subprocess.run(["mount", "--bind", str(path), str(name)], check=True)
    if mode == "ro":
        subprocess.run(["mount", "-o", "remount,bind,ro", str(name)], check=True)
    return name


def take_back(name: Path) -> None:
    """Let it be found no longer."""
    subprocess.run(["umount", "--lazy", str(name)], check=True)
    if name.is_dir():
        name.rmdir()
    else:
        name.unlink()


def run_work(script: Path, number: int, reporter: Reporter) -> int:
    """Run a script, telling its lines; whatever it has started ends with it."""
    argv = [str(script)]
    if not SETTINGS["networks"][number]:
        up = 'ip link set lo up 2>/dev/null; exec "$0"'
        argv = ["unshare", "--net", "/bin/sh", "-c", up, *argv]
    with subprocess.Popen(
        argv,
        cwd="/",
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    ) as process:
        reader = threading.Thread(target=tell, args=(process.stdout, reporter))
        reader.start()
        status = process.wait()
        end_others()
        reader.join()
    return status if status >= 0 else 128 - status


def tell(stream: object, reporter: Reporter) -> None:
    """Tell each line of a stream."""
    for line in stream:  # type: ignore[attr-defined]  # a pipe: see `persist`
        reporter.line(line.decode(errors="replace").rstrip("\r\n"))


def end_others() -> None:
    """End every process that this one has started, however far down."""
    while children := own_children():
        for child in children:
            with contextlib.suppress(OSError):
                os.kill(child, signal.SIGKILL)
        for child in children:
            with contextlib.suppress(OSError):
                os.waitpid(child, 0)


def own_children() -> list[int]:
    """Return this process's children, the orphans of its children among them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError):
            fields = path.read_text(errors="replace").rpartition(")")[2].split()
            if int(fields[1]) == os.getpid():
                found.append(int(path.parent.name))
    return found


def quieten() -> None:
    """Have the system's own updates be over, for as long as this machine is on.

    They are stopped and not disabled: what is built has them as its base has.
    """
    until = time.monotonic() + QUIET_S
    for units in UPDATES if SYSTEMD.is_dir() else ():
        left = max(until - time.monotonic(), 1.0)
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            stop = ["systemctl", "stop", *units]
            subprocess.run(stop, check=False, timeout=left, capture_output=True)
    await_locks(until)


def settle() -> None:
    """See that nobody else installs anything: this machine is switched off now.

    Raises:
        TimeoutError: somebody does.
    """
    if not await_locks(time.monotonic() + QUIET_S):
        raise TimeoutError("the system's own updates do not end")


def await_locks(until: float) -> bool:
    """Wait until nobody installs anything; return whether that has come to pass."""
    while any(map(is_locked, LOCKS)):
        if time.monotonic() > until:
            return False
        time.sleep(PAUSE_S)
    return True


def is_locked(path: Path) -> bool:
    """Return whether somebody holds a lock. The file stays as it is."""
    try:
        with path.open("r+b") as file:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return isinstance(error, BlockingIOError)
    return False


def forget() -> None:
    """Remove what makes this machine this one: each instance makes its own anew."""
    for pattern in STALE:
        for path in Path("/").glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    path.unlink()
    machine_id = Path("/etc/machine-id")
    if machine_id.exists():
        machine_id.write_text("")


def bake(reporter: Reporter) -> None:
    """Do all of it, and say how it went."""
    # orphans of the work become this process's children, so that it can end them
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    shutil.rmtree(PLACE, ignore_errors=True)
    PLACE.mkdir(mode=0o700, parents=True)
    try:
        fetch(PLACE / "bundle")
        with tarfile.open(PLACE / "bundle") as archive:
            archive.extractall(PLACE / "works")  # noqa: S202 - its digest is the one given
        quieten()
        is_done = run_works(PLACE / "works", reporter)
        if is_done:
            settle()
    except Exception as error:  # noqa: BLE001 - whatever it is, somebody waits to hear of it
        reporter.report(event="failed", reason=repr(error)[:500])
        return
    finally:
        shutil.rmtree(PLACE, ignore_errors=True)
    if is_done:
        forget()
        subprocess.run(["sync"], check=False)
        reporter.report(event="captured")


def main() -> None:
    """Begin when cloud-init has ended, and power off whatever happens."""
    if "--now" not in sys.argv and SYSTEMD.is_dir():
        program = Path(f"/run/{UNIT}.py")
        program.write_bytes(Path(__file__).read_bytes())
        started = ["systemd-run", "--no-block", "--collect", f"--unit={UNIT}"]
        started += ["--property=After=cloud-final.service", "--property=Type=exec"]
        subprocess.run([*started, sys.executable, str(program), "--now"], check=True)
        return
    threading.Timer(SETTINGS["longest_s"], power_off).start()
    reporter = Reporter()
    try:
        bake(reporter)
    finally:
        reporter.close()
        power_off()


def power_off() -> None:
    """Switch this machine off."""
    with contextlib.suppress(OSError):
        subprocess.run(["systemctl", "poweroff", "--no-block"], check=False)
    os._exit(0)


if __name__ == "__main__":
    main()
