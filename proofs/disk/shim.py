"""The shim: compiling it, and commanding it from inside a process that has it loaded."""

import ctypes
import os
import shutil
import subprocess
from pathlib import Path

from proofs.disk.faults import Strike

_SOURCE = Path(__file__).with_name("shim.c")
LOG_BYTES = 8 * 1024 * 1024
_FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC")


class CannotProve(Exception):
    """What is needed to prove anything is not there, or the harness itself failed."""


def compile_shim(directory: Path) -> Path:
    """Compile the shim into a directory and return the library.

    Raises:
        CannotProve: there is no C compiler, or it refuses.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise CannotProve("no C compiler; install gcc")
    library = directory / "shim.so"
    command = [compiler, *_FLAGS, "-o", str(library), str(_SOURCE)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CannotProve(f"the shim does not compile:\n{done.stderr}")
    return library


class Shim:
    """The shim in this process.

    Raises:
        AttributeError: the process was started without it.
    """

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)
        self._library.disk_count.restype = ctypes.c_uint32

    def arm(self, directory: Path, log: Path, strike: Strike) -> None:
        """Watch a directory from here on, log to a new file, and strike when told."""
        descriptor = os.open(log, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        os.truncate(descriptor, LOG_BYTES)
        self._library.disk_arm(
            str(directory).encode(),
            ctypes.c_int(descriptor),
            ctypes.c_size_t(LOG_BYTES),
            ctypes.c_uint32(strike.number),
            ctypes.c_int(strike.fault),
            ctypes.c_int(strike.error),
            ctypes.c_size_t(strike.size_bytes),
        )

    def heal(self) -> None:
        """Let nothing fail any more."""
        self._library.disk_heal()

    def count(self) -> int:
        """Return the number of the latest operation."""
        return int(self._library.disk_count())
