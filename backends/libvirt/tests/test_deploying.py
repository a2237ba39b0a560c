"""The whole job on real machines behind a real HAProxy: deploy, fail, roll back, die."""

import json
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest
from ports import free_port

import immutable
from immutable import errors
from immutable.model import Image
from immutable.registry import open_backend, open_switch
from immutable_libvirt import LibvirtBackend

pytestmark = [pytest.mark.vm, pytest.mark.haproxy, pytest.mark.timeout(300)]


@pytest.fixture
def service(
    vm_url: str, backend: LibvirtBackend, tmp_path: Path
) -> Iterator[immutable.Service]:
    """Return a service of two small machines; everything of it is gone afterwards."""
    address = f"127.0.0.1:{free_port()}"
    made = immutable.Service(
        "immtest",
        backend=vm_url,
        size=2,
        ports=8080,
        health="/identity.json",
        switch=f"haproxy://?listen={address}&directory={tmp_path / 'switch'}",
        ledger=f"sqlite:///{tmp_path / 'ledger.db'}",
        validators=[immutable.http("/config.json", contains="well")],
        strategy=immutable.BlueGreen(bake="1s"),
        ready_timeout="2m",
    )
    yield made
    immutable.destroy(made)
    open_switch(made.switch, open_backend(vm_url), made.name, port=8080).shut_down()


def answer(service: immutable.Service) -> dict[str, object]:
    """Return what production says it is."""
    address = str(service.switch).split("listen=")[1].split("&")[0]
    with urlopen(f"http://{address}/config.json", timeout=20) as response:
        return dict(json.load(response))


def serving(service: immutable.Service) -> object:
    """Return the configuration that production serves with."""
    return answer(service)["configuration"]


def test_deploy_reject_roll_back_and_heal(
    service: immutable.Service, image: Image
) -> None:
    """A release goes live, a bad one never does, and going back is one call."""
    assert immutable.deploy(service, image, config={"mood": "well", "v": "1"}).is_live
    assert immutable.deploy(service, image, config={"mood": "well", "v": "2"}).is_live
    assert serving(service) == {"mood": "well", "v": "2"}
    rejected = immutable.deploy(service, image, config={"mood": "sick", "v": "3"})
    assert rejected.outcome is immutable.Outcome.ROLLED_BACK
    assert isinstance(rejected.error, errors.ValidationFailed)
    assert "immutable:" in rejected.evidence[0].console
    assert serving(service) == {"mood": "well", "v": "2"}
    back = immutable.rollback(service)
    assert back.is_live
    assert [step.step for step in back.steps] == ["route", "route"]
    assert serving(service) == {"mood": "well", "v": "1"}


def test_a_dead_machine_is_healed(
    service: immutable.Service, image: Image, backend: LibvirtBackend
) -> None:
    """A machine that was destroyed behind our back is replaced by another."""
    assert immutable.deploy(service, image, config={"mood": "well"}).is_live
    (fleet,) = (line.name for line in immutable.status(service).fleets)
    before = backend.fleets.observe(fleet)
    assert before is not None
    victim = before.instances[0].id
    backend.machines.daemon.connection().lookupByName(victim).destroy()
    assert serving(service) == {"mood": "well"}
    assert immutable.heal(service).is_live
    after = backend.fleets.observe(fleet)
    assert after is not None
    assert victim not in {instance.id for instance in after.instances}
    assert len(after.instances) == len(before.instances)


def deploy_in_another_process(service: immutable.Service, image: Image) -> None:
    """Deploy, and be killed on the way."""
    os.setsid()
    immutable.deploy(service, image, config={"mood": "well", "v": "2"})


def test_a_killed_deployer_leaves_production_whole(
    service: immutable.Service, image: Image, backend: LibvirtBackend
) -> None:
    """While it works others are refused; killed, its work is taken back."""
    assert immutable.deploy(service, image, config={"mood": "well", "v": "1"}).is_live
    context = multiprocessing.get_context("spawn")
    other = context.Process(target=deploy_in_another_process, args=(service, image))
    other.start()
    while immutable.status(service).deploying is None:
        time.sleep(0.05)
    refused = immutable.deploy(service, image, config={"mood": "well", "v": "3"})
    assert isinstance(refused.error, errors.Contention)
    os.kill(other.pid or 0, signal.SIGKILL)
    other.join()
    assert immutable.status(service).interrupted
    done = immutable.recover(service)
    assert done.outcome is immutable.Outcome.ROLLED_BACK
    assert serving(service) == {"mood": "well", "v": "1"}
    (left,) = immutable.status(service).fleets
    assert {row[0].fleet for row in backend.machines.list()} == {left.name}
