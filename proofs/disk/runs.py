"""Running the workload under the shim, from a process that is not under it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs

from proofs.disk.faults import Operation, Strike
from proofs.disk.log import read_log
from proofs.disk.shim import CannotProve, compile_shim
from proofs.disk.workload import RECORDS
from proofs.disk.zygote import Command

# The tree comes last: what is proved is the product as it is installed.
_START = "import sys; sys.path.append(sys.argv[1]); from proofs.disk import zygote; zygote.main()"
_TREE = Path(__file__).parents[2]


@attrs.frozen(kw_only=True)
class Said:
    """One word of a child: what happened with a record, after how many operations."""

    word: str
    index: int
    operations: int
    detail: str


@attrs.frozen(kw_only=True)
class Run:
    """What a child did and said, and how it ended."""

    strike: Strike
    directory: Path
    said: tuple[Said, ...]
    status: int
    """Its exit status, or the signal that ended it, negative."""
    operations: tuple[Operation, ...]

    @property
    def length(self) -> int:
        """The number of the last operation; 0 when there was none."""
        return self.operations[-1].number if self.operations else 0

    def acknowledged(self, by: int) -> int:
        """Return how many records were acknowledged after an operation."""
        # Who finds a record after an ambiguous append goes on as if it had been.
        counts = (s.index + 1 for s in self._said(by, "acknowledged", "found"))
        return max(counts, default=0)

    def seen(self, by: int) -> int:
        """Return how many records were there at least, acknowledged or only read."""
        read = (said.index for said in self._said(by, "present"))
        return max(self.acknowledged(by), *read, 0)

    def _said(self, by: int, *words: str) -> Iterator[Said]:
        return (s for s in self.said if s.word in words and s.operations <= by)


def bounds(runs: Sequence[Run], by: int) -> tuple[int, int]:
    """Return how many records must be there, and how many can be.

    Args:
        runs: one after the other, on one directory.
        by: an operation of the last of them; before the next append began.
    """
    *before, last = runs
    least = max(last.acknowledged(by), *(r.acknowledged(r.length) for r in before), 0)
    seen = max(last.seen(by), *(run.seen(run.length) for run in before), 0)
    return least, seen + 1


class Runner:
    """Forks children off one prepared process."""

    def __init__(
        self,
        zygote: "subprocess.Popen[str]",
        base: Path,
        *,
        planted: str,
        cache_pages: int,
    ) -> None:
        self._zygote = zygote
        self._base = base
        self._planted = planted
        self._cache_pages = cache_pages
        self._made = 0

    def fresh(self) -> Path:
        """Return a new empty directory for a run, or for a state of a disk."""
        self._made += 1
        directory = self._base / str(self._made)
        directory.mkdir(mode=0o700)
        return directory

    def run(self, directory: Path, strike: Strike, *, limit: int = len(RECORDS)) -> Run:
        """Run the workload in a directory; the strike says what goes wrong, and where."""
        log = self._base / "log"
        command = Command(
            directory=str(directory),
            log=str(log),
            strike=strike,
            limit=limit,
            cache_pages=self._cache_pages,
            planted=self._planted,
        )
        said = tuple(self._talk(command))
        return Run(
            strike=strike,
            directory=directory,
            said=said[:-1],
            status=said[-1].index,
            operations=read_log(log, directory),
        )

    def _talk(self, command: Command) -> Iterator[Said]:
        stdin, stdout = self._zygote.stdin, self._zygote.stdout
        if stdin is None or stdout is None:
            raise CannotProve("the forking process has no pipes")
        print(json.dumps(attrs.asdict(command)), file=stdin, flush=True)
        while line := stdout.readline():
            word, index, operations, detail = line.rstrip("\n").split("\t")
            yield Said(
                word=word, index=int(index), operations=int(operations), detail=detail
            )
            if word == "ended":
                return
        raise CannotProve("the forking process has died")


@contextmanager
def running(base: Path, *, planted: str = "", cache_pages: int = 0) -> Iterator[Runner]:
    """Prepare the forking process, and end it afterwards.

    Args:
        base: where directories of runs are made.
        planted: the name of a bug that the store is given; empty for none.
        cache_pages: how little SQLite may hold in memory; 0 for as much as usual.

    Raises:
        CannotProve: the shim cannot be compiled or loaded.
    """
    shim = compile_shim(base)
    command = [sys.executable, "-P", "-c", _START, str(_TREE)]
    with subprocess.Popen(
        command,
        env=os.environ | {"LD_PRELOAD": str(shim)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as zygote:
        yield Runner(zygote, base.resolve(), planted=planted, cache_pages=cache_pages)
        if zygote.stdin is not None:
            zygote.stdin.close()
