"""Traffic: the client in C, compiled when it is needed, and what it saw."""

import contextlib
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import attrs

from bench.figures import CannotMeasure
from immutable.model import Endpoint

SOURCE = Path(__file__).with_name("client.c")
_RECORD = struct.Struct("=QQQII")
_PATIENCE_S = 30

Answer = tuple[int, int, int, int, int]
"""When it began, was sent and was answered (ns, monotonic), the release, the status."""


@attrs.frozen(kw_only=True)
class Seen:
    """Everything that one client saw, and the processor time that it took itself."""

    path: Path
    client_cpu_s: float

    def answers(self) -> Iterator[Answer]:
        """Yield one record for each request, in order of completion."""
        yield from _RECORD.iter_unpack(self.path.read_bytes())


@attrs.define
class Client:
    """A running client."""

    process: "subprocess.Popen[str]"
    path: Path

    def wait_for_tick(self) -> None:
        """Return when so many more requests were answered as a tick has."""
        assert self.process.stdout is not None  # noqa: S101 - it was asked for
        if not self.process.stdout.readline():
            raise CannotMeasure(f"the client ended early: {self.process.wait()}")

    def end(self) -> Seen:
        """Let it finish what is in flight, and return what it saw."""
        said, _ = self.process.communicate(timeout=_PATIENCE_S)
        last = said.split()[-2:]
        if self.process.returncode or len(last) < len(("cpu", "seconds")):
            raise CannotMeasure(f"the client failed: {self.process.returncode}")
        return Seen(path=self.path, client_cpu_s=float(last[1]))


def compile_client(folder: Path) -> Path:
    """Return the client's program, made in the folder.

    Raises:
        CannotMeasure: there is no C compiler.
    """
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        raise CannotMeasure("no C compiler; install gcc")
    program = folder / "client"
    subprocess.run([compiler, "-O2", "-o", program, SOURCE], check=True)
    return program


@contextlib.contextmanager
def traffic(
    program: Path, endpoint: Endpoint, *, connections: int, is_kept: bool, tick: int
) -> Iterator[Client]:
    """Run a client for the time of the block; call `Client.end` inside it."""
    path = program.with_name("answers")
    command = [program, endpoint.host, endpoint.port, connections]
    command += ["keep" if is_kept else "fresh", tick, path]
    process = subprocess.Popen(
        list(map(str, command)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Client(process, path)
    finally:
        process.kill()
        process.wait()
