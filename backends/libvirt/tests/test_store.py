"""The directories of instances, with many at work at once."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from immutable.errors import BackendError, NotEnough
from immutable.model import FleetName, ImageId, InstanceId
from immutable_libvirt.facts import InstanceFacts
from immutable_libvirt.locks import exclusive, is_held
from immutable_libvirt.store import InstanceStore

NOBODY: frozenset[IPv4Address] = frozenset()


@pytest.fixture
def store(tmp_path: Path) -> InstanceStore:
    """Return a prepared store with thirteen addresses."""
    made = InstanceStore(pool=tmp_path, subnet=IPv4Network("10.83.0.0/28"))
    made.prepare()
    return made


def _facts(name: str, address: IPv4Address) -> InstanceFacts:
    return InstanceFacts(
        name=InstanceId(name),
        fleet=FleetName("shop-v1"),
        image=ImageId("img-1"),
        address=address,
        launched_at=datetime(2026, 1, 1, tzinfo=UTC),
        tags={"immutable-service": "shop"},
    )


def _reserve(
    store: InstanceStore, name: str, foreign: frozenset[IPv4Address] = NOBODY
) -> InstanceFacts:
    return store.reserve(name, lambda a: _facts(name, a), foreign=foreign)


def test_what_is_reserved_is_found(store: InstanceStore) -> None:
    """By name and in the list, until it is removed."""
    facts = _reserve(store, "a")
    assert store.find("a") == facts
    assert [r.facts for r in store.remains()] == [facts]
    store.remove("a")
    assert store.find("a") is None
    assert store.remains() == ()


def test_addresses_never_collide(store: InstanceStore) -> None:
    """Thirteen at once get thirteen addresses."""
    with ThreadPoolExecutor(13) as pool:
        made = list(pool.map(lambda i: _reserve(store, f"a{i}"), range(13)))
    assert len({facts.address for facts in made}) == 13


def test_no_address_is_left(store: InstanceStore) -> None:
    """The fourteenth is refused, and leaves nothing behind."""
    for index in range(13):
        _reserve(store, f"a{index}")
    with pytest.raises(NotEnough, match="13 addresses"):
        _reserve(store, "one-too-many")
    assert store.find("one-too-many") is None


def test_addresses_of_others_are_left_alone(store: InstanceStore) -> None:
    """Domains whose directory is lost keep their addresses."""
    foreign = frozenset({IPv4Address("10.83.0.2"), IPv4Address("10.83.0.3")})
    assert _reserve(store, "a", foreign).address == IPv4Address("10.83.0.4")


def test_addresses_go_round_across_instances(store: InstanceStore) -> None:
    """One that was given back is not given out at once."""
    first = _reserve(store, "a")
    store.remove("a")
    assert _reserve(store, "b").address != first.address


def test_half_made_directories_are_not_instances(
    store: InstanceStore, tmp_path: Path
) -> None:
    """Who died while reserving left nothing that counts, or that is in the way."""
    (tmp_path / "instances" / ".a").mkdir()
    assert store.remains() == ()
    assert _reserve(store, "a").name == "a"


def test_what_the_dead_left_half_done_goes(
    store: InstanceStore, tmp_path: Path
) -> None:
    """A lock of nothing and half a directory go with the next that is made."""
    instances = tmp_path / "instances"
    _reserve(store, "lives")
    (instances / "lives.lock").touch()
    (instances / "locked-and-killed.lock").touch()
    (instances / ".half-made").mkdir()
    (instances / ".half-made" / "scratch.qcow2").touch()
    with exclusive(instances / "at-work.lock"):
        (instances / ".at-work").mkdir()
        store.prepare()
        kept = {path.name for path in instances.iterdir()} - {".addresses.lock"}
    assert kept == {"lives", "lives.lock", ".at-work", "at-work.lock"}


def test_a_removal_that_dies_leaves_no_stranger(
    store: InstanceStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed while it removes files, it leaves nothing that looks like an instance."""
    _reserve(store, "a")
    monkeypatch.setattr(shutil, "rmtree", lambda *_, **__: None)
    store.remove("a")
    assert [path.name for path in (tmp_path / "instances").glob("a*")] == []
    monkeypatch.undo()
    store.prepare()
    assert not (tmp_path / "instances" / ".a").exists()


def test_damaged_facts_are_an_error(store: InstanceStore, tmp_path: Path) -> None:
    """What cannot be told is not taken for absent; the message says what to do."""
    _reserve(store, "a")
    (tmp_path / "instances" / "a" / "instance.json").write_text("{")
    with pytest.raises(BackendError, match=r"damaged.*remove it"):
        store.remains()


def test_an_instance_at_work_is_busy(store: InstanceStore) -> None:
    """While its lock is held, it is being created or destroyed."""
    _reserve(store, "a")
    with store.lock("a"):
        assert [r.is_busy for r in store.remains()] == [True]
    assert [r.is_busy for r in store.remains()] == [False]


def test_an_empty_pool_has_no_instances(tmp_path: Path) -> None:
    """Looking makes nothing."""
    pool = tmp_path / "absent"
    store = InstanceStore(pool=pool, subnet=IPv4Network("10.83.0.0/28"))
    assert store.remains() == ()
    assert not pool.exists()


def test_a_lock_excludes_even_when_its_file_is_removed(tmp_path: Path) -> None:
    """Holders remove the file; those who waited for it start over with a new one."""
    path, inside, most = tmp_path / "lock", [0], [0]

    def work(_: int) -> None:
        with exclusive(path):
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            threading.Event().wait(0.002)
            # from the removal on somebody else may be inside
            inside[0] -= 1
            path.unlink()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(40)))
    assert most == [1]


def test_an_absent_lock_is_not_held(tmp_path: Path) -> None:
    """Nobody is at work on what has no lock."""
    assert not is_held(tmp_path / "lock")
