"""Where deployers come from: forked from a process that has everything ready.

So a kill does not cost the start of an interpreter, and no deployer shares anything with
another, nor with the process that recovers after it.
"""

import os
import pickle
import select
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Generic, NoReturn, Self, TypeVar

Order = TypeVar("Order")
Said = TypeVar("Said")
_PATIENCE_S = 300.0
_KILLED = -signal.SIGKILL
_BOOT = "from proofs.forking import main; main({})"
_AS_HERE: Mapping[str, str] = MappingProxyType({})


class ForkServer(Generic[Order, Said]):
    """Runs deployers, one at a time, each in a process of its own.

    Args:
        ready: called once in the server, a function of a module: it imports and makes what
            every deployer needs, opens nothing, and returns what a deployer does.
        settings: environment variables beside this process's own.
    """

    def __init__(
        self,
        ready: Callable[[], Callable[[Order], Said]],
        settings: Mapping[str, str] = _AS_HERE,
    ) -> None:
        self._ready = ready
        self._settings = dict(settings)
        self._held = ExitStack()

    def __enter__(self) -> Self:
        """Start the process that all others are forked from."""
        prefix = "immutable-deployers-"
        name = self._held.enter_context(tempfile.TemporaryDirectory(prefix=prefix))
        self._said = Path(name) / "said"
        self._link, theirs = Pipe()
        paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _BOOT.format(theirs.fileno())],
            env=os.environ | paths | self._settings,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
        )
        theirs.close()
        self._link.send((self._ready, self._said))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it, once a deployer that is at work has ended."""
        with self._held:
            self._link.close()
            self._process.wait(_PATIENCE_S)

    def run(self, order: Order, *, kill_after_s: float | None = None) -> Said | None:
        """Let a deployer work and return what it says, None when it was killed.

        Args:
            order: what it is to do, and where to die by its own hand.
            kill_after_s: when it is killed by ours.

        Raises:
            RuntimeError: it ended otherwise, or not at all.
        """
        self._said.unlink(missing_ok=True)
        self._link.send(order)
        handle = os.pidfd_open(self._link.recv())
        patience_s = _PATIENCE_S if kill_after_s is None else kill_after_s
        has_ended = bool(select.select([handle], [], [], patience_s)[0])
        if not has_ended:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        os.close(handle)
        status = self._link.recv()
        if status == _KILLED and (has_ended or kill_after_s is not None):
            return None
        if status:
            raise RuntimeError(f"a deployer ended with status {status}: {order}")
        said: Said = pickle.loads(self._said.read_bytes())  # noqa: S301 - our own child wrote it
        return said


def main(number: int) -> None:
    """Fork a process for each order, until nobody is there to give any."""
    link: Connection[int, Any] = Connection(number)
    ready, path = link.recv()
    obey = ready()
    while True:
        try:
            order = link.recv()
        except EOFError:
            return
        pid = os.fork()
        if not pid:
            _become(obey, order, path)
        link.send(pid)
        link.send(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def _become(obey: Callable[[Order], Said], order: Order, path: Path) -> NoReturn:
    """Be the deployer."""
    status = 1
    try:
        path.write_bytes(pickle.dumps(obey(order)))
        status = 0
    except BaseException:  # noqa: BLE001 - the parent is told by the status
        traceback.print_exc()
    finally:
        os._exit(status)
