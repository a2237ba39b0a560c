"""Real processes: made, found, restarted, listed when dead, ended; logs stay."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import attrs
import pytest
from process_tools import (
    ask,
    backend_in,
    eventually,
    kill,
    processes_naming,
    recipe_of,
    spec_of,
)

from immutable.capabilities import Need
from immutable.errors import ImmutableError, NotEnough, Taken, UnknownImage
from immutable.model import (
    DeploymentId,
    FleetName,
    ImageId,
    Instance,
    InstanceId,
    InstanceState,
    ServiceName,
)
from immutable_process import ProcessBackend, fleet


@pytest.fixture
def backend(place: Path) -> ProcessBackend:
    """Return a backend in a place of its own."""
    return backend_in(place)


@pytest.fixture
def one(backend: ProcessBackend, place: Path) -> Instance:
    """Return an instance that was just created."""
    return backend.machines.create(spec_of(backend, place))


def states(backend: ProcessBackend) -> list[InstanceState]:
    """Return the states of all instances."""
    return [instance.state for instance, _ in backend.machines.list()]


def test_an_instance_is_told_who_it_is(backend: ProcessBackend, one: Instance) -> None:
    """Its document, its identity, its configuration and its port reach the process."""
    assert ask(one) == b"good"
    assert ask(one, "/config.json").decode() == one.document
    told = json.loads(ask(one, "/identity.json"))
    assert (told["instance"], told["fleet"]) == (one.id, one.fleet)
    assert told["digest"][:16] == one.digest
    variables = ask(one, "/environment").decode().split("\0")
    assert "GREETING=grüezi" in variables
    assert f"PORT={one.port}" in variables


def test_an_instance_cannot_change_its_image(
    backend: ProcessBackend, one: Instance
) -> None:
    """It works in a copy."""
    copy = backend.machines.directory / one.id / "root/srv/app/mark"
    copy.write_text("changed")
    (image,) = backend.images.directory.glob("img-*")
    assert (image / "root/srv/app/mark").read_text() == "good"


def test_a_command_that_ends_is_started_again(
    backend: ProcessBackend, one: Instance
) -> None:
    """The instance lives on under its id and port."""
    ask(one)
    first, *others = sorted(processes_naming(backend.machines.directory), key=int)
    os.kill(int(others[-1]), signal.SIGKILL)
    log = backend.machines.logs / one.fleet / f"{one.id}.log"
    eventually(lambda: log.read_text().count("good in") == 2 or None, "a second start")
    assert ask(one) == b"good"
    assert processes_naming(backend.machines.directory) & {first}
    assert states(backend) == [InstanceState.RUNNING]


def test_a_dead_instance_is_gone_until_it_is_destroyed(
    backend: ProcessBackend, one: Instance, place: Path
) -> None:
    """It is not started again, keeps its port, and leaves only its log."""
    ask(one)
    kill(backend, one.id)
    eventually(lambda: states(backend) == [InstanceState.GONE] or None, "its death")
    again = backend.machines.create(spec_of(backend, place))
    assert again.state is InstanceState.GONE
    assert again.port == one.port
    backend.machines.destroy(one.id)
    backend.machines.destroy(one.id)
    assert backend.machines.list() == ()
    (log,) = backend.logs.read(one.fleet, tail_bytes=1000)
    assert log.instance == one.id
    assert "good in" in log.journal
    assert "\x1b" not in log.journal
    assert backend.logs.read(one.fleet, tail_bytes=3)[0].journal == "ed\n"


def test_a_number_that_was_used_again_is_left_alone(
    backend: ProcessBackend, one: Instance
) -> None:
    """Destroying a dead instance ends nobody who got its number since."""
    ask(one)
    kill(backend, one.id)
    eventually(lambda: states(backend) == [InstanceState.GONE] or None, "its death")
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as stranger:
        home = backend.machines.directory / one.id
        (home / "pid").write_text(f"{stranger.pid}\n")
        backend.machines.destroy(one.id)
        assert stranger.poll() is None
        stranger.kill()


def test_one_that_takes_no_hint_is_killed(
    backend: ProcessBackend, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever ignores SIGTERM gets SIGKILL."""
    monkeypatch.setattr(fleet, "_PATIENCE", fleet._PATIENCE / 20)
    deaf = (
        "import signal as s; s.signal(15, s.SIG_IGN); print('deaf', flush=1); s.pause()"
    )
    recipe = recipe_of("good", place)
    service = attrs.evolve(recipe.layers[-1], command=(sys.executable, "-c", deaf))
    recipe = attrs.evolve(recipe, layers=(recipe.layers[0], service))
    image = backend.images.build(recipe, on_output=lambda _: None)
    spec = spec_of(backend, place)
    spec = attrs.evolve(spec, fleet=attrs.evolve(spec.fleet, image=image))
    made = backend.machines.create(spec)
    log = backend.machines.logs / made.fleet / f"{made.id}.log"
    eventually(lambda: "deaf" in log.read_text() or None, "its first word")
    backend.machines.destroy(made.id)
    assert not processes_naming(backend.machines.directory)


def test_another_deployments_name_is_taken(
    backend: ProcessBackend, one: Instance, place: Path
) -> None:
    """An instance of another deployment is never handed out as this one's."""
    spec = spec_of(backend, place)
    tags = attrs.evolve(spec.fleet.tags, deployment=DeploymentId("d2"))
    with pytest.raises(Taken):
        backend.machines.create(
            attrs.evolve(spec, fleet=attrs.evolve(spec.fleet, tags=tags))
        )


def test_an_unknown_image_leaves_nothing(backend: ProcessBackend, place: Path) -> None:
    """Nothing is listed, and no draft is in the way of the next."""
    spec = spec_of(backend, place)
    image = attrs.evolve(spec.fleet.image, id=ImageId("img-0000000000000000"))
    with pytest.raises(UnknownImage, match="build it"):
        backend.machines.create(
            attrs.evolve(spec, fleet=attrs.evolve(spec.fleet, image=image))
        )
    assert backend.machines.list() == ()
    assert ask(backend.machines.create(spec)) == b"good"


def test_what_could_not_be_started_leaves_nothing(
    backend: ProcessBackend, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit of processes, for example, is an error and not a dead instance."""
    spec = spec_of(backend, place)
    with monkeypatch.context() as empty:
        empty.setattr(fleet, "_PATH", str(place))
        with pytest.raises(ImmutableError, match="setsid"):
            backend.machines.create(spec)
    assert backend.machines.list() == ()
    assert ask(backend.machines.create(spec)) == b"good"


def test_ports_in_use_are_not_given_out(
    backend: ProcessBackend, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a stranger's nor a dead instance's; when none is left, that is said."""
    spec = spec_of(backend, place)
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        taken = stranger.getsockname()[1]
        monkeypatch.setattr(fleet, "PORTS", range(taken, taken + 1))
        with pytest.raises(NotEnough, match="port"):
            backend.machines.create(spec)
    assert backend.machines.list() == ()
    one = backend.machines.create(spec)
    kill_when_up(backend, one)
    with pytest.raises(NotEnough, match="port"):
        backend.machines.create(attrs.evolve(spec, name=f"{spec.name}2"))


def kill_when_up(backend: ProcessBackend, instance: Instance) -> None:
    """Kill an instance once it answers, and wait until it is dead."""
    ask(instance)
    kill(backend, instance.id)
    eventually(lambda: states(backend) == [InstanceState.GONE] or None, "its death")


def test_more_instances_than_ports_do_not_fit(backend: ProcessBackend) -> None:
    """Said before anything is made."""
    need = Need(service=ServiceName("proctest"), new_instances=3000, image=None)
    with pytest.raises(NotEnough):
        backend.preflight(need)
    assert backend.preflight(attrs.evolve(need, new_instances=3)) == ()


def test_names_that_lead_elsewhere_find_nothing(
    backend: ProcessBackend, one: Instance
) -> None:
    """No path is made of them."""
    backend.machines.destroy(InstanceId(f"../instances/{one.id}"))
    assert states(backend) != [InstanceState.GONE]
    assert backend.logs.read(FleetName(f"../logs/{one.fleet}"), tail_bytes=10) == ()
    assert backend.images.find(ImageId(f"../images/{one.image}")) is None


def test_one_in_the_making_is_pending(backend: ProcessBackend, one: Instance) -> None:
    """Its lock is held, and nothing has begun to run."""
    ask(one)
    (backend.machines.directory / one.id / "pid").unlink()
    assert states(backend) == [InstanceState.PENDING]
    (group,) = {
        os.getpgid(int(p)) for p in processes_naming(backend.machines.directory)
    }
    (backend.machines.directory / one.id / "pid").write_text(str(group))


HALFWAY = """
import os, signal, subprocess, sys
from pathlib import Path
from process_tools import backend_in, spec_of
backend, place = backend_in(Path(sys.argv[1])), Path(sys.argv[1])
spec = spec_of(backend, place)
{}
backend.machines.create(spec)
"""
DIE = "lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)"


def be_killed(place: Path, where: str) -> None:
    """Create an instance in another process, which is killed where it says."""
    program = HALFWAY.format(f"{where} = {DIE}" if where else "")
    paths = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, "-c", program, str(place)]
    done = subprocess.run(command, env={"PYTHONPATH": paths}, check=False)
    assert done.returncode == (-signal.SIGKILL if where else 0)


def test_an_instance_outlives_its_deployer(
    backend: ProcessBackend, place: Path
) -> None:
    """It belongs to the machine."""
    be_killed(place, where="")
    ((one, _),) = backend.machines.list()
    assert ask(one) == b"good"
    assert backend.machines.create(spec_of(backend, place)).port == one.port


def test_a_creation_killed_before_it_ran_is_completed(
    backend: ProcessBackend, place: Path
) -> None:
    """It is dead, not pending for ever, and the same name begins again."""
    be_killed(place, where="subprocess.run")
    assert states(backend) == [InstanceState.GONE]
    assert ask(backend.machines.create(spec_of(backend, place))) == b"good"
    assert len(backend.machines.list()) == 1


def test_a_creation_killed_before_it_is_whole_was_never_there(
    backend: ProcessBackend, place: Path
) -> None:
    """A draft is not listed, and is cleared away by the next change."""
    be_killed(place, where="Path.rename")
    assert backend.machines.list() == ()
    drafts = list(backend.images.directory.glob(".*/"))
    drafts += list(backend.machines.directory.glob(".*/"))
    assert drafts
    assert ask(backend.machines.create(spec_of(backend, place))) == b"good"
    assert not any(draft.exists() for draft in drafts)
