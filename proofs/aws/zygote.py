"""Where deployers come from: forked from a process whose clients have called nobody.

So a kill does not cost the start of an interpreter nor the making of clients, which takes
seconds, and no deployer shares anything with another, nor with who recovers after it.
"""

import os
import pickle
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping
from importlib import import_module
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from types import TracebackType
from typing import Self

import attrs

from emulators.aws.account import REGION
from immutable.errors import ImmutableError
from immutable.model import Outcome
from immutable_aws.session import Place
from proofs.aws.hurrying import hurried
from proofs.aws.planted import Bug, planted
from proofs.aws.points import Point, Watch, warmed, watched
from proofs.aws.site import Site
from proofs.aws.verbs import Verb, call

_PATIENCE_S = 300.0
_KILLED = -signal.SIGKILL
_BOOT = "from proofs.aws.zygote import main; main({})"


@attrs.frozen(kw_only=True)
class Order:
    """What a process is to do, and where it is to die."""

    site: Site
    verb: Verb
    image: str
    point: Point | None = None
    bug: Bug | None = None
    is_hurried: bool = False
    """Whether pauses are a tenth."""


@attrs.frozen(kw_only=True)
class Said:
    """What a process that was not killed says at its end."""

    outcome: Outcome | None
    """None: it raised."""
    error: str
    took_s: float
    met: tuple[Point, ...]


class Zygote:
    """Runs deployers, one at a time, each in a process of its own.

    Args:
        directory: for what they say.
        settings: environment variables, of the SDK.
    """

    def __init__(self, directory: Path, settings: Mapping[str, str]) -> None:
        self._path = directory / f"said-{id(self):x}"
        self._settings = dict(settings)

    def __enter__(self) -> Self:
        """Start the process that all others are forked from."""
        self._link, theirs = Pipe()
        paths = {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-c", _BOOT.format(theirs.fileno())],
            env=os.environ | paths | self._settings,
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
        """End it."""
        self._link.close()
        self._process.wait(_PATIENCE_S)

    def run(self, order: Order) -> Said | None:
        """Let a deployer work and return what it says, None when it was killed.

        Raises:
            RuntimeError: it ended otherwise, or not at all.
        """
        self._path.unlink(missing_ok=True)
        self._link.send((order, self._path))
        handle = os.pidfd_open(self._link.recv())
        ready, _, _ = select.select([handle], [], [], _PATIENCE_S)
        if not ready:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        os.close(handle)
        status = self._link.recv()
        if status == _KILLED and ready:
            return None
        if status:
            raise RuntimeError(f"a deployer ended with status {status}: {order}")
        said: Said = pickle.loads(self._path.read_bytes())  # noqa: S301 - our own child wrote it
        return said


def main(number: int) -> None:
    """Fork a process for each order, until nobody is there to give any."""
    # all that a deployer imports is imported here, once
    for module in ("immutable_aws.backend", "immutable_aws.switch"):
        import_module(module)

    aws = warmed(Place(region=REGION))
    link: Connection[int, tuple[Order, Path]] = Connection(number)
    while True:
        try:
            order, path = link.recv()
        except EOFError:
            return
        pid = os.fork()
        if not pid:
            watch = Watch(order.verb, order.point)
            with watched(aws, watch), planted(order.bug):
                _become(order, watch, path)
        link.send(pid)
        link.send(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def _become(order: Order, watch: Watch, path: Path) -> None:
    """Be the deployer; this does not return."""
    status = 1
    try:
        path.write_bytes(pickle.dumps(_obey(order, watch)))
        status = 0
    except BaseException:  # noqa: BLE001 - the parent is told by the status
        traceback.print_exc()
    finally:
        os._exit(status)


def _obey(order: Order, watch: Watch) -> Said:
    began = time.monotonic()
    outcome, error = None, ""
    try:
        with hurried(is_hurried=order.is_hurried):
            done = call(order.verb, order.site, order.image)
        outcome, error = done.outcome, repr(done.error) if done.error else ""
    except ImmutableError as exc:
        error = repr(exc)
    return Said(
        outcome=outcome,
        error=error,
        took_s=time.monotonic() - began,
        met=tuple(watch.met),
    )
