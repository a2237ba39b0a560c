"""The whole job on real processes behind a real HAProxy: deploy, fail, go back, die."""

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.request import urlopen

import attrs
import pytest
from process_tools import (
    backend_in,
    deploy,
    eventually,
    kill,
    processes_naming,
    recipe_of,
    serving,
)

import immutable
from immutable import errors
from immutable.model import Outcome

pytestmark = pytest.mark.haproxy


@pytest.fixture
def service(place: Path) -> Iterator[immutable.Service]:
    """Return a service of two processes; everything of it is gone afterwards."""
    with serving(place) as made:
        yield made


def served(service: immutable.Service, path: str = "/") -> str:
    """Return what production answers."""
    address = str(service.switch).split("listen=")[1].split("&")[0]
    with urlopen(f"http://{address}{path}", timeout=20) as answer:
        return str(answer.read().decode())


def test_deploy_fail_roll_back_and_heal(
    service: immutable.Service, place: Path
) -> None:
    """A release goes live, one that is never ready does not, going back is one call."""
    assert immutable.deploy(service, recipe_of("one", place)).is_live
    assert immutable.deploy(service, recipe_of("two", place)).is_live
    assert served(service) == "two"
    hasty = attrs.evolve(service, ready_timeout="2s")
    failed = immutable.deploy(hasty, recipe_of("sick", place))
    assert failed.outcome is Outcome.ROLLED_BACK
    assert isinstance(failed.error, errors.NotReady)
    assert "sick in" in failed.evidence[0].journal
    back = immutable.rollback(service)
    assert back.is_live
    assert [step.step for step in back.steps] == ["route"]
    assert served(service) == "one"
    victim, *_ = (i for i, _ in backend_in(place).machines.list())
    kill(backend_in(place), victim.id)
    assert served(service) == "one"
    assert immutable.heal(service).is_live
    assert victim.id not in {i.id for i, _ in backend_in(place).machines.list()}


def test_the_configuration_reaches_the_processes(
    service: immutable.Service, place: Path
) -> None:
    """And a change of configuration alone is a new fleet."""
    for colour in ("red", "blue"):
        recipe = recipe_of("good", place)
        assert immutable.deploy(service, recipe, config={"COLOUR": colour}).is_live
        told = json.loads(served(service, "/config.json"))
        assert told["configuration"] == {"COLOUR": colour}
        assert f"COLOUR={colour}\0" in served(service, "/environment")


def test_members_are_reached_on_their_own_ports(place: Path) -> None:
    """By validators that connect to each instance, too."""
    with serving(place, "preview_header=on") as service:
        knocking = attrs.evolve(service, validators=[immutable.tcp()])
        assert immutable.deploy(knocking, recipe_of("good", place)).is_live
        ports = {i.port for i, _ in backend_in(place).machines.list()}
        assert len(ports) == service.size
        assert not ports & {None, *service.ports}


def test_a_command_that_does_not_exist_is_evidence(
    service: immutable.Service, place: Path
) -> None:
    """It never becomes ready; nothing is left, and the log says why."""
    recipe = immutable.Recipe.base("host:local").service("app", "/srv/nothing")
    failed = immutable.deploy(attrs.evolve(service, ready_timeout="2s"), recipe)
    assert failed.outcome is Outcome.ROLLED_BACK
    assert "/srv/nothing: not found" in failed.evidence[0].journal
    assert backend_in(place).machines.list() == ()


def test_without_haproxy_nothing_is_touched(
    service: immutable.Service, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal names Debian's package."""
    monkeypatch.setenv("PATH", str(place))
    monkeypatch.setattr("immutable_haproxy.process._SYSTEM_PATH", str(place))
    refused = immutable.deploy(service, recipe_of("good", place))
    assert refused.outcome is Outcome.REFUSED
    assert "apt-get install haproxy" in str(refused.error)
    assert backend_in(place).machines.list() == ()


def test_a_directory_that_cannot_be_written_is_refused(
    service: immutable.Service, place: Path
) -> None:
    """Before anything is touched."""
    elsewhere = attrs.evolve(service, backend="process://?dir=/sys/immutable")
    with pytest.raises(errors.PermissionDenied):
        immutable.deploy(elsewhere, recipe_of("good", place)).raise_for_outcome()
    assert immutable.status(service).fleets == ()


def launched(service: immutable.Service, place: Path) -> bool | None:
    """Return whether an instance of a second fleet is there."""
    return len(backend_in(place).machines.list()) > service.size or None


def begun(service: immutable.Service, place: Path) -> bool | None:
    """Return whether the second deployment is in the ledger."""
    return immutable.status(service).deploying is not None or None


@pytest.mark.parametrize("moment", [begun, launched])
def test_a_killed_deployer_leaves_production_whole(
    service: immutable.Service,
    place: Path,
    moment: Callable[[immutable.Service, Path], bool | None],
) -> None:
    """Its work is finished or taken back, and no process nobody knows of is left."""
    assert immutable.deploy(service, recipe_of("one", place)).is_live
    context = multiprocessing.get_context("spawn")
    other = context.Process(target=deploy, args=(service, place, "two"))
    other.start()
    eventually(lambda: moment(service, place), "its work")
    os.kill(other.pid or 0, signal.SIGKILL)
    other.join()
    assert immutable.recover(service).outcome in {Outcome.ROLLED_BACK, Outcome.LIVE}
    live = served(service)
    assert live in {"one", "two"}
    known = {i.id for i, _ in backend_in(place).machines.list()}
    fleets = {fleet.name for fleet in immutable.status(service).fleets}
    assert {name.rpartition("-")[0] for name in known} == fleets
    homes = backend_in(place).machines.directory
    assert len(processes_naming(homes)) == 2 * len(known)
    assert immutable.deploy(service, recipe_of("three", place)).is_live
    assert served(service) == "three"
