"""Users whom the system's libvirt does not let in."""

import json
import os
import subprocess
import sys

import libvirt  # noqa: F401 - loaded before rights are given up: the module is root's
import pytest

from immutable.errors import PermissionDenied
from immutable_libvirt.daemon import Daemon

pytestmark = pytest.mark.vm

_NOBODY = 65534


def test_one_connection_serves_all() -> None:
    """It is opened once, as long as it answers."""
    daemon = Daemon(uri="qemu:///system")
    assert daemon.connection() is daemon.connection()


def test_an_ordinary_user_is_told_what_to_do() -> None:
    """Images, bridges and disks are root's: being in libvirt's group is not enough."""
    Daemon(uri="qemu:///system").connection()
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:  # pragma: no cover - another process
        os.setgroups([])
        os.setgid(_NOBODY)
        os.setuid(_NOBODY)
        os.write(write_end, json.dumps(_refusal()).encode())
        os._exit(0)
    os.close(write_end)
    with os.fdopen(read_end) as stream:
        message, kind = json.load(stream)
    os.waitpid(child, 0)
    assert kind == "PermissionDenied"
    assert "run as root" in message


def _refusal() -> tuple[str, str]:  # pragma: no cover - another process
    try:
        Daemon(uri="qemu:///system").connection()
    except PermissionDenied as exc:
        return str(exc), "PermissionDenied"
    except Exception as exc:  # noqa: BLE001 - the test is to see it
        return str(exc), type(exc).__name__
    return "", "connected"


def test_nothing_is_printed() -> None:
    """Libvirt's own habit of printing errors is switched off."""
    program = (
        "from immutable_libvirt.daemon import Daemon\n"
        "connection = Daemon(uri='qemu:///system').connection()\n"
        "try:\n    connection.lookupByName('no-such-domain')\n"
        "except Exception as exc:\n    print(type(exc).__name__)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, text=True
    )
    assert done.stdout == "libvirtError\n"
    assert done.stderr == ""
