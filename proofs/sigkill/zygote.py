"""Where deployers come from: forked from a process that imported all and opened nothing.

So a kill does not cost the start of an interpreter, and no deployer shares anything with
another, nor with the process that recovers after it.
"""

import os
import pickle
import select
import signal
import subprocess
import sys
import traceback
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from types import TracebackType
from typing import Self

from proofs.sigkill.deployer import Order, Said, obey
from proofs.sigkill.site import Site

_PATIENCE_S = 300.0
_KILLED = -signal.SIGKILL
_BOOT = "from proofs.sigkill.zygote import main; main({})"


class Zygote:
    """Runs deployers, one at a time, each in a process of its own."""

    def __enter__(self) -> Self:
        """Start the process that all others are forked from."""
        self._link, theirs = Pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _BOOT.format(theirs.fileno())],
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it; a deployer that is at work goes on."""
        self._link.close()
        self._process.wait(_PATIENCE_S)

    def run(
        self, site: Site, order: Order, *, kill_after_s: float | None = None
    ) -> Said | None:
        """Let a deployer work and return what it says, None when it was killed.

        Args:
            site: where.
            order: what it is to do, and where to die by its own hand.
            kill_after_s: when it is killed by ours.
        """
        path = site.directory / "said"
        path.unlink(missing_ok=True)
        self._link.send((site, order, path))
        handle = os.pidfd_open(self._link.recv())
        if not select.select([handle], [], [], kill_after_s or _PATIENCE_S)[0]:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        os.close(handle)
        status = self._link.recv()
        if status == _KILLED:
            return None
        if status:
            raise RuntimeError(f"a deployer ended with status {status}: {order}")
        said: Said = pickle.loads(path.read_bytes())  # noqa: S301 - our own child wrote it
        return said


def main(number: int) -> None:
    """Fork a process for each order, until nobody is there to give any."""
    link: Connection[int, tuple[Site, Order, Path]] = Connection(number)
    while True:
        try:
            job = link.recv()
        except EOFError:
            return
        pid = os.fork()
        if not pid:
            _become(job)
        link.send(pid)
        link.send(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def _become(job: tuple[Site, Order, Path]) -> None:
    """Be the deployer; this does not return."""
    site, order, path = job
    status = 1
    try:
        path.write_bytes(pickle.dumps(obey(site, order)))
        status = 0
    except BaseException:  # noqa: BLE001 - the parent is told by the status
        traceback.print_exc()
    finally:
        os._exit(status)
