"""Instances: processes that are kept running, each known by its directory."""

import fcntl
import json
import os
import random
import signal
import socket
import subprocess
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import attrs

from immutable.authoring import wait_until
from immutable.errors import Ambiguous, NotEnough, Taken
from immutable.machines import MachineSpec
from immutable.model import Instance, InstanceId, InstanceState
from immutable_process.errors import NAME, doing
from immutable_process.images import ProcessImages
from immutable_process.store import changing, copy, discard, draft_of, entry

PORTS = range(30_000, 32_768)
"""Below those from which the kernel takes ports for outgoing connections."""
_HOST = "127.0.0.1"
_PATIENCE, _LOOK_EVERY = timedelta(seconds=10), timedelta(milliseconds=10)
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# The first process of an instance: it starts the command again whenever it ends, and
# leads the group by which all of them are ended.
_KEEP = """echo $$ >../pid; while :; do "$@"
echo "immutable: ended with status $?, starts again in 1 s"; sleep 1; done"""
_Row = tuple[Instance, tuple[tuple[str, str], ...]]


@attrs.frozen(kw_only=True)
class ProcessMachines:
    """`immutable.machines.Machines`: an instance lives while its lock file is held.

    The deployer takes the lock and hands it on to the processes as their standard input.
    So the kernel itself says whether any of them lives, whoever was killed meanwhile and
    however often the numbers of processes were used again.
    """

    images: ProcessImages
    directory: Path
    logs: Path

    def create(self, spec: MachineSpec) -> Instance:
        """Start an instance, or return the one that has this name.

        Raises:
            Taken: that one carries other tags.
            UnknownImage: the image is not there.
            NotEnough: no port is free, or the machine is full.
        """
        home, name = entry(self.directory, spec.name), spec.name
        start = doing(operation="machines.create", resource=name, changes=True)
        with start, changing(self.directory):
            found = _read(home)
            if not _lives(home) and not (home / "pid").exists():
                discard(home)  # its deployer was killed before anything ran
                self._start(home, spec)
                found = _read(home)
        if found is None or dict(found[1]) != spec.fleet.tags.to_mapping():
            raise Taken(f"{name} belongs to another deployment", backend=NAME)
        return found[0]

    def list(self) -> tuple[_Row, ...]:
        """Return every instance with its tags, the dead too, by name."""
        with doing(operation="machines.list", resource="instances", changes=False):
            homes = sorted(self.directory.glob("[!.]*/"))
            return tuple(row for home in homes if (row := _read(home)))

    def destroy(self, instance: InstanceId) -> None:
        """End an instance's processes, kindly and then not, and remove its directory.

        Raises:
            Ambiguous: they do not end.
        """
        home = entry(self.directory, instance)
        with doing(operation="machines.destroy", resource=instance, changes=True):
            with suppress(Ambiguous):
                _end(home, signal.SIGTERM)
            _end(home, signal.SIGKILL)
            with changing(self.directory):
                discard(home)

    def _start(self, home: Path, spec: MachineSpec) -> None:
        """Make an instance's directory with a copy of its image, and run what it starts.

        Words of the command that name something in the image lead into the copy.
        """
        draft, port = draft_of(home), self._free_port()
        files, command, variables = self.images.start(spec.fleet.image.id)
        copy(files, draft / "root")
        own = [_in_image(draft, home, word) for word in command]
        variables = _environment(home, spec) | variables
        variables |= {"HOST": _HOST, "PORT": str(port)}
        (draft / "instance.json").write_text(json.dumps(_facts(spec, port)))
        (draft / "config.json").write_text(spec.fleet.document, encoding="utf-8")
        (draft / "lock").touch()
        log = self.logs / spec.fleet.name / f"{spec.name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with (draft / "lock").open() as lock, log.open("ab") as said:
            fcntl.flock(lock, fcntl.LOCK_EX)
            draft.rename(home)
            keep = ["setsid", "--fork", "/bin/sh", "-c", _KEEP, spec.name, *own]
            begin = partial(subprocess.run, keep, check=True, stdin=lock, stdout=said)
            try:
                begin(stderr=said, cwd=home / "root", env=variables)
            except OSError:
                discard(home)  # nothing was started, and nothing is to be left
                raise

    def _free_port(self) -> int:
        """Return a port that no instance has, and nobody else just now.

        An instance's directory keeps its port until it is destroyed: no other instance
        gets requests that were meant for it. When a stranger takes the port before the
        process does, the instance does not become ready, and the deployment says so.
        """
        used = {instance.port for instance, _ in self.list()}
        for port in random.sample(PORTS, len(PORTS)):
            with suppress(OSError):
                if port not in used:
                    socket.create_server((_HOST, port)).close()
                    return port
        hint = "retire fleets that nobody needs"
        raise NotEnough("every port for instances is in use", hint=hint, backend=NAME)


def _facts(spec: MachineSpec, port: int) -> dict[str, object]:
    fleet, tags = spec.fleet, spec.fleet.tags.to_mapping()
    names = {"instance": spec.name, "fleet": fleet.name, "image": fleet.image.id}
    own = {"digest": fleet.tags.digest, "port": port, "tags": tags}
    return {**names, **own, "launched_at": datetime.now(UTC).isoformat()}


def _environment(home: Path, spec: MachineSpec) -> dict[str, str]:
    """Return the release's configuration, and where an instance is told who it is."""
    configuration = json.loads(spec.fleet.document).get("configuration", {})
    told = {"CONFIG": home / "config.json", "IDENTITY": home / "instance.json"}
    paths = {f"IMMUTABLE_{name}": str(path) for name, path in told.items()}
    return {"PATH": _PATH, "LANG": "C.UTF-8", **configuration, **paths}


def _in_image(draft: Path, home: Path, word: str) -> str:
    place = Path("root", word.lstrip("/"))
    is_ours = word.startswith("/") and (draft / place).exists()
    return str(home / place) if is_ours else word


def _read(home: Path) -> _Row | None:
    try:
        is_alive = _is_held(home / "lock")
        facts = json.loads((home / "instance.json").read_text())
        document = (home / "config.json").read_text(encoding="utf-8")
    except FileNotFoundError:
        if home.exists():
            raise
        return None
    begun = InstanceState.RUNNING if (home / "pid").exists() else InstanceState.PENDING
    instance = Instance(
        id=InstanceId(facts["instance"]),
        fleet=facts["fleet"],
        state=begun if is_alive else InstanceState.GONE,
        address=_HOST,
        port=facts["port"],
        digest=facts["digest"][:16],
        launched_at=datetime.fromisoformat(facts["launched_at"]),
        image=facts["image"],
        document=document,
    )
    return instance, tuple(sorted(facts["tags"].items()))


def _lives(home: Path) -> bool:
    with suppress(FileNotFoundError):
        return _is_held(home / "lock")
    return False


def _end(home: Path, number: signal.Signals) -> None:
    """Send a signal as soon as there is anybody to get it, and wait for the end."""

    def group() -> int | None:
        with suppress(FileNotFoundError, ValueError):
            return int((home / "pid").read_text()) if _lives(home) else 0
        return None

    wait = partial(wait_until, within=_PATIENCE, every=_LOOK_EVERY)
    if found := wait(group, f"{home.name}'s beginning"):
        with suppress(ProcessLookupError):
            os.killpg(found, number)
        wait(lambda: None if _lives(home) else True, f"{home.name}'s end")


def _is_held(lock: Path) -> bool:
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
