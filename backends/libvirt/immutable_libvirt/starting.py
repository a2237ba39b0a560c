"""Start libvirt's daemons where no service manager runs: containers, CI, bare chroots.

They outlive this process, as they would under a service manager: virtual machines and
their networks belong to the machine and not to the program that deployed them.
"""

import grp
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

from immutable.errors import Unavailable
from immutable_libvirt import reaper
from immutable_libvirt.errors import BACKEND
from immutable_libvirt.locks import exclusive

_RUN = Path("/run/libvirt")
_SYSTEMD = Path("/run/systemd/system")
_UDEV = Path("/run/udev/control")
_KVM = Path("/dev/kvm")
_LOG_SOCKET = _RUN / "virtlogd-sock"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ENVIRONMENT = {"PATH": _PATH, "LANG": "C.UTF-8"}
_MONOLITHIC = ("libvirtd",)
_MODULAR = ("virtnetworkd", "virtqemud")
_START_DEADLINE_S = 30
_TAIL_CHARS = 300


def is_running() -> bool:
    """Return whether the system's libvirt daemon takes connections."""
    return any(_listens(_RUN / f"{name}-sock") for name in ("libvirt", "virtqemud"))


def start_helpers() -> None:
    """Do what a service manager and udev would have done before a domain can start.

    That is virtlogd, which writes the consoles to files, and the rights of /dev/kvm.

    Raises:
        Unavailable: virtlogd could not be started.
    """
    if not _starts_by_us():
        return
    _hand_over_kvm()
    if not _listens(_LOG_SOCKET):
        with exclusive(_lock_file()):
            if not _listens(_LOG_SOCKET):
                _run("virtlogd")


def start_daemon(why: str) -> None:
    """Start the system's libvirt daemon; one that another process started is kept.

    Args:
        why: what the attempt to connect said, for the message.

    Raises:
        Unavailable: it is for somebody else to start, or it did not start.
    """
    if not _starts_by_us():
        raise _not_ours(why)
    with exclusive(_lock_file()):
        for program in _programs():
            _run(program)


def _hand_over_kvm() -> None:
    """Give /dev/kvm to the group kvm, as udev's own rule does where udev runs.

    Where QEMU's user cannot open the device but root can, libvirt finds its cache of
    QEMU's capabilities invalid at each look and probes again, and starting one domain
    takes 80 seconds (seen with 9.0: "KVM was enabled when probing, but it is not
    available now"). Whether KVM works at all is another question: `acceleration`.
    """
    if _UDEV.exists() or not _KVM.exists():
        return
    try:
        group = grp.getgrnam("kvm").gr_gid
    except KeyError:
        return
    status = _KVM.stat()
    rights = 0o660 if status.st_gid == group else 0o006
    if status.st_mode & rights != rights:
        os.chown(_KVM, 0, group)
        _KVM.chmod(0o660)


def _starts_by_us() -> bool:
    return os.geteuid() == 0 and not _SYSTEMD.is_dir()


def _lock_file() -> Path:
    # Root's own: unlike /run/libvirt it exists before any daemon of libvirt ran.
    directory = Path("/run/immutable")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory / "libvirt.lock"


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(str(path)) == 0


def _programs() -> tuple[str, ...]:
    for programs in (_MONOLITHIC, _MODULAR):
        if all(shutil.which(program, path=_PATH) for program in programs):
            return programs
    raise Unavailable(
        "libvirt's daemon is not installed",
        hint="apt-get install libvirt-daemon-system qemu-system-x86",
        operation="connect",
        backend=BACKEND,
    )


def _run(program: str) -> None:
    """Start a daemon; its own pid file makes a second start of it do nothing."""
    path = shutil.which(program, path=_PATH)
    if path is None or _listens(_RUN / f"{_socket_of(program)}-sock"):
        return
    with tempfile.TemporaryFile() as output:
        # A file, not a pipe: the daemon would keep a pipe open and us waiting.
        subprocess.run(
            [*_reaped(), path, "--daemon"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=_ENVIRONMENT,
            umask=0o022,
            start_new_session=True,
            timeout=_START_DEADLINE_S,
            check=False,
        )
        output.seek(0)
        _check(program, output.read())


def _reaped() -> tuple[str, ...]:
    """Return what to put before a command, so that somebody reaps its orphans.

    The system's Python, for it outlives this process's virtual environment; and
    `sys.executable` is some other program where Python is embedded.
    """
    python = shutil.which("python3", path=_PATH)
    return (python, "-I", reaper.__file__) if python else ()


def _socket_of(program: str) -> str:
    return "libvirt" if program == "libvirtd" else program


def _check(program: str, output: bytes) -> None:
    if _listens(_RUN / f"{_socket_of(program)}-sock"):
        return
    said = output.decode(errors="replace").strip()[-_TAIL_CHARS:]
    raise Unavailable(
        f"{program} did not start: {said or 'it printed nothing'}",
        hint=f"run {program} by hand as root and read what it says",
        operation="connect",
        resource=program,
        backend=BACKEND,
    )


def _not_ours(why: str) -> Unavailable:
    by_root = "run as root, which starts it"
    by_systemd = "systemctl start libvirtd (or virtqemud.socket virtnetworkd.socket)"
    return Unavailable(
        f"libvirt's daemon is not running: {why}",
        hint=by_systemd if _SYSTEMD.is_dir() else by_root,
        operation="connect",
        backend=BACKEND,
        retryable=True,
    )
