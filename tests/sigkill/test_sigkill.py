"""A slice of proofs/sigkill, and proof that it would notice."""

import random
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

# At the end: the package itself is tested as it is installed, not as it lies here.
sys.path.append(str(Path(__file__).parents[2]))

from immutable.machines import MachineSpec
from immutable.model import (
    DeploymentId,
    Digest,
    FleetName,
    FleetSpec,
    LedgerId,
    Outcome,
    ReleaseNumber,
    Tags,
)
from proofs.sigkill import experiment, running
from proofs.sigkill.census import Census, look_at_switch, take_census
from proofs.sigkill.experiment import Experiment
from proofs.sigkill.kills import Kill
from proofs.sigkill.on_processes import OnProcesses
from proofs.sigkill.points import Point
from proofs.sigkill.ports import free_port
from proofs.sigkill.processes import IMAGE, ProcessMachines
from proofs.sigkill.running import Aims, run, started
from proofs.sigkill.site import SERVICE, Site
from proofs.sigkill.tally import Tally
from proofs.sigkill.verbs import Verb

pytestmark = [pytest.mark.haproxy, pytest.mark.timeout(240)]
KILLS = 30
MEMORY = Path("/dev/shm")  # noqa: S108 - a directory with a name of our own in it
SEEDS = 1 << 32
IN_THE_MIDDLE = Point(
    verb=Verb.DEPLOY,
    turn=4,
    stage="launch?",
    call="machines.create",
    again=2,
    side="after",
)


@pytest.fixture
def directory() -> Iterator[Path]:
    """Return a directory in memory, where there is one.

    A kill takes nothing away that was written, durable or not; power cuts are another
    proof's affair, and waiting for disks is most of what a deployment takes here.
    """
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as name:
        yield Path(name)


@pytest.fixture
def site(directory: Path) -> Iterator[Site]:
    """Return a site for processes, at which only deploys are killed."""
    instances = directory / "instances"
    instances.mkdir()
    ground = OnProcesses(directory=instances, port=free_port(), verbs=(Verb.DEPLOY,))
    address = f"127.0.0.1:{free_port()}"
    yield Site(directory=directory, listen=address, ground=ground)
    assert set().union(*ground.traces().values()) == set()


def silent(_: str) -> None:
    """Tell nobody."""


def stray_server(site: Site) -> str:
    """Start a server of a fleet that no ledger knows, and return its name."""
    tags = Tags(
        service=SERVICE,
        ledger=LedgerId("another"),
        deployment=DeploymentId("d"),
        release=ReleaseNumber(9),
        digest=Digest("0" * 64),
    )
    fleet = FleetSpec(
        name=FleetName("sigkill-v9-abcdef"),
        image=IMAGE,
        document="{}",
        size=1,
        port=site.ground.port,
        tags=tags,
    )
    spec = MachineSpec(name="sigkill-v9-abcdef-1", fleet=fleet)
    return machines_of(site).create(spec).id


def machines_of(site: Site) -> ProcessMachines:
    """Return the machines of the site, past every tap."""
    return ProcessMachines(directory=site.directory / "instances")


def tell_haproxy(site: Site, command: str) -> None:
    """Give HAProxy a command behind the library's back."""
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(site.switch_directory / "haproxy.sock"))
        link.sendall(f"{command}\n".encode())
        assert link.recv(100).strip() == b""


def test_killed_deployers_go_unnoticed(site: Site) -> None:
    """Dozens of deployers die; no request fails, and nothing is left over."""
    tally = run(site, Aims(count=KILLS, seed=random.randrange(SEEDS)), print)
    assert list(tally.violations()) == []
    assert tally.kills == KILLS
    assert tally.ended_old
    assert tally.ended_new
    assert tally.judge.sent > KILLS


def test_without_recovery_it_is_noticed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recovery that does nothing makes the run fail."""
    nothing = SimpleNamespace(outcome=Outcome.LIVE, warnings=(), leftovers=())
    monkeypatch.setattr(experiment.immutable, "recover", lambda _: nothing)
    monkeypatch.setattr(experiment, "_KILLED_AGAIN", 0.0)
    kill = Kill(verb=Verb.DEPLOY, point=IN_THE_MIDDLE)
    monkeypatch.setattr(running, "choose", lambda *_: [kill])
    points = frozenset({IN_THE_MIDDLE})
    monkeypatch.setattr(Experiment, "count", lambda _: points)
    monkeypatch.setattr(Experiment, "conclude", lambda _: None)
    tally = run(site, Aims(count=1, seed=1), silent)
    assert tally.killed_at == {IN_THE_MIDDLE}
    said = " ".join(tally.violations())
    assert "the ledger has an attempt that is not ended" in said


def test_what_is_amiss_is_noticed(site: Site) -> None:
    """A stray server, one that leaves, a map that differs: the census sees each."""
    nothing = Census(problems=(), strays=frozenset())
    with started(site, Aims(count=0, seed=1), Tally(backend="", asked=0)):
        assert take_census(site) == nothing
        stray = stray_server(site)
        assert take_census(site).strays == {stray}
        machines_of(site).destroy(stray)
        server = look_at_switch(site).servers[0]
        name = f"{server['be_name']}/{server['srv_name']}"
        tell_haproxy(site, f"set server {name} state drain")
        stored = site.switch_directory / "routing.map"
        kept = stored.read_text()
        stored.write_text(kept + "more http-1\n")
        said = take_census(site).problems
        stored.write_text(kept)
        tell_haproxy(site, f"set server {name} state ready")
        assert said == (
            "the map on disk is not the map that is served",
            f"{server['srv_name']} is half made or leaving",
        )
        assert take_census(site) == nothing
