"""memory://: the public calls on a cloud in this process, in virtual time."""

import _thread
import asyncio
import os
import re
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta

import pytest

import immutable
from immutable import aio, errors, host
from immutable.events import Started
from immutable.host import ThisHost
from immutable.model import InstanceState
from immutable.registry import open_backend, open_ledger, open_switch
from immutable.testing import Behaviour, Fault, Killed, Script, forget, world

RECIPE = immutable.Recipe.base("debian:12").packages("python3")
SECOND = RECIPE.run("date > /etc/built")
LIVE, BACK, REFUSED = (
    immutable.Outcome.LIVE,
    immutable.Outcome.ROLLED_BACK,
    immutable.Outcome.REFUSED,
)


@pytest.fixture
def lab(request):
    """Return a world of this test's own."""
    address = f"memory://{re.sub('[^a-z0-9]+', '-', request.node.name)}"
    yield world(address)
    forget(address)


def service(lab, name="shop", **given):
    """Return a service of two instances in a world."""
    settings = {"size": 2, "ports": 8080} | given
    return immutable.Service(name, backend=f"memory://{lab.name}", **settings)


def beside(work):
    """Begin something in a thread of its own, and return the thread."""
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return thread


def states(lab):
    """Return the states of all servers."""
    return [server.state for server in lab.servers()]


def test_the_main_job(lab):
    """Two releases and a rollback, with a bake of minutes and a fleet kept for an hour."""
    strategy = immutable.BlueGreen(bake="2m", keep_warm="1h")
    shop = service(lab, strategy=strategy)
    plan = immutable.plan(shop, RECIPE)
    assert (plan.size, plan.peak_instances) == (2, 2)
    assert immutable.deploy(plan).is_live
    assert immutable.deploy(shop, SECOND).release.number == 2
    assert immutable.rollback(shop).release.number == 1
    assert immutable.scale(shop, 3).is_live
    lines = immutable.history(shop)
    assert [(line.verb, line.release) for line in lines] == [
        ("deploy", 1),
        ("deploy", 2),
        ("rollback", 1),
        ("scale", None),
    ]
    assert lines[0].ended_at - lines[0].began_at > timedelta(minutes=2)
    assert immutable.status(shop).release.number == 1
    assert len(immutable.logs(shop, release=1)) == 3
    assert immutable.sweep(shop).is_live
    assert immutable.destroy(shop).is_live
    assert lab.servers() == ()


def test_the_same_calls_give_the_same_history():
    """Two fresh worlds are alike to the microsecond and to the last id."""

    def live_through(address):
        shop = immutable.Service("shop", backend=address, size=3, ports=80)
        immutable.deploy(shop, RECIPE)
        immutable.deploy(shop, SECOND, size=4)
        immutable.rollback(shop)
        found = immutable.history(shop), immutable.status(shop), world(address).now
        forget(address)
        return found

    first = live_through("memory://twin?boots_in=3s")
    assert live_through("memory://twin?boots_in=3s") == first
    assert live_through("memory://twin?boots_in=3s&seed=1") != first


def test_backend_switch_and_ledger_of_one_address_meet(lab):
    """Named or not, the parts are those of the one world."""
    address = f"memory://{lab.name}"
    shop = service(lab)
    named = service(lab, switch=address, ledger=address)
    assert immutable.deploy(shop, RECIPE).is_live
    assert immutable.status(named).release.number == 1
    assert immutable.deploy(named, SECOND).release.number == 2
    assert len(immutable.history(shop)) == 2


def test_the_ledger_ends_with_the_world(lab):
    """No file outlives the cloud: a world that begins anew has no history."""
    shop = service(lab)
    assert immutable.deploy(shop, RECIPE).is_live
    forget(f"memory://{lab.name}")
    assert immutable.history(shop) == ()
    assert immutable.deploy(shop, RECIPE).release.number == 1


def test_another_ledger_can_be_used(lab, tmp_path):
    """A file keeps the history, and then a new world is found to contradict it."""
    shop = service(lab, ledger=f"sqlite:///{tmp_path}/ledger.db")
    assert immutable.deploy(shop, RECIPE).is_live
    forget(f"memory://{lab.name}")
    assert len(immutable.history(shop)) == 1
    assert isinstance(immutable.deploy(shop, SECOND).error, errors.Drift)


def test_services_share_a_world_and_nothing_else(lab):
    """Each has its own history and fleets; the room is everybody's."""
    shop, blog = service(lab), service(lab, "blog", size=1)
    assert immutable.deploy(shop, RECIPE).is_live
    assert immutable.deploy(blog, RECIPE).is_live
    assert len(immutable.history(blog)) == 1
    assert immutable.destroy(blog).is_live
    assert immutable.status(shop).release.number == 1
    assert states(lab) == [InstanceState.RUNNING] * 2


def test_room_is_limited():
    """A world of three servers has no room for two fleets of two."""
    shop = immutable.Service("shop", backend="memory://s?capacity=3", size=2, ports=80)
    assert immutable.deploy(shop, RECIPE).is_live
    done = immutable.deploy(shop, SECOND)
    assert (done.outcome, type(done.error)) == (REFUSED, errors.NotEnough)
    forget("memory://s")


@pytest.mark.parametrize("switch", ["compare-and-set", "slot", "blind"])
def test_every_kind_of_cloud(switch):
    """Old readings, slow boots, bound launches and guarded deletion are all got on with."""
    options = (
        f"switch={switch}&staleness=2s&late=1s&settle=500ms&drains_in=1s&boots_in=4s"
        "&launch_binds=yes&guards_deletion=yes&counts=yes&keeps_logs=no&preview=no"
    )
    address = f"memory://odd?{options}"
    shop = immutable.Service("shop", backend=address, size=3, ports=80)
    assert immutable.deploy(shop, RECIPE).is_live
    assert immutable.deploy(shop, SECOND).is_live
    assert immutable.rollback(shop).is_live
    capabilities = open_switch(None, open_backend(address), shop.name, port=80)
    assert capabilities.capabilities.fencing == switch
    forget("memory://odd")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("memory://x?size=3", "unknown option size"),
        ("memory://x?switch=big", "there is no switch 'big'"),
        ("memory://x?capacity=many", "'many' is no number"),
        ("memory://x?boots_in=3", "'3' is no duration"),
        ("memory://x?preview=perhaps", "neither yes nor no"),
        ("memory://x/y", "a world has no path"),
        ("memory://x?seed=1&seed=2", "gives an option twice"),
        ("sqlite:///x", "is no world"),
    ],
)
def test_addresses_are_read_strictly(address, words):
    """What cannot be meant is refused, and no world is made of it."""
    with pytest.raises(errors.InvalidInput, match=words):
        world(address)
    assert world("memory://x").settings.capacity is None
    forget("memory://x")


def test_unknown_options_name_the_known():
    """Whoever misspells an option is told them all."""
    with pytest.raises(errors.InvalidInput) as caught:
        world("memory://x?boot=1s")
    assert "boots_in, capacity, counts, drains_in" in str(caught.value)


def test_addresses_of_one_world_may_not_contradict():
    """The first decides; one that says the same, or nothing, meets it."""
    made = world("memory://one?capacity=3&preview=yes")
    assert world("memory://one?preview=true") is made
    assert world("memory://one") is made
    with pytest.raises(errors.InvalidInput, match=r"contradicts.*: capacity"):
        world("memory://one?capacity=4")
    forget("memory://one?capacity=4")
    assert world("memory://one?capacity=4") is not made
    forget("memory://one")


def test_worlds_are_apart(lab):
    """What happens in one world is not seen in another."""
    immutable.deploy(service(lab), RECIPE)
    other = world(f"memory://{lab.name}-2")
    assert other.servers() == ()
    assert other.now < lab.now
    forget(f"memory://{lab.name}-2")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_forked_process_has_worlds_of_its_own(lab):
    """The child begins anew; the parent's world stays as it was."""
    immutable.deploy(service(lab), RECIPE)
    child = os.fork()
    if not child:
        os._exit(len(world(f"memory://{lab.name}").servers()))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(lab.servers()) == 2


def test_neither_greenlet_nor_anything_else_is_needed():
    """Without the extra, in a fresh interpreter, the backend works."""
    program = (
        "import sys; sys.modules['greenlet'] = None\n"
        "import immutable\n"
        "assert 'immutable.testing' not in sys.modules\n"
        "shop = immutable.Service('shop', backend='memory://', ports=80)\n"
        "done = immutable.deploy(shop, immutable.Recipe.base('debian:12'))\n"
        "assert done.is_live, done\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_release_that_never_gets_ready_is_turned_away(lab):
    """The old one serves on, at the cost of virtual minutes."""
    shop = service(lab)
    lab.behave(SECOND, Behaviour(ready=False))
    assert immutable.deploy(shop, RECIPE).is_live
    done = immutable.deploy(shop, SECOND)
    assert (done.outcome, type(done.error)) == (BACK, errors.NotReady)
    assert immutable.status(shop).release.number == 1
    assert len(lab.servers()) == 2


def test_images_are_declared(lab):
    """An image of the world's own is deployed by its id, and behaves as was said."""
    lab.image("shop-1", boots_in="30s")
    lab.image("shop-2", dies_after="1s")
    shop = service(lab)
    done = immutable.deploy(shop, "shop-1")
    assert done.is_live
    assert done.took > timedelta(seconds=30)
    assert immutable.deploy(shop, "shop-2").outcome is BACK


def test_validators_judge_by_the_target(lab):
    """A function decides; what is asked over a network says that there is none."""
    shop = service(lab, validators=[lambda target: target.release.number != 2])
    assert immutable.deploy(shop, RECIPE).is_live
    assert isinstance(immutable.deploy(shop, SECOND).error, errors.ValidationFailed)
    asking = immutable.deploy(shop, SECOND, validators=[immutable.http("/version")])
    assert asking.outcome is BACK
    assert "simulated.invalid is on no network" in str(asking.error)


def test_a_validator_that_hangs_is_left_behind(lab):
    """It is undecided in real time, as on a real machine."""
    forever = threading.Event()
    shop = service(
        lab,
        validators=[lambda _: forever.wait()],
        validator_timeout="50ms",
        validate_timeout="1s",
    )
    done = immutable.deploy(shop, RECIPE)
    forever.set()
    assert "no answer within 50ms" in str(done.error)


def test_a_dead_server_is_healed(lab):
    """Kill one, look, heal."""
    shop = service(lab)
    immutable.deploy(shop, RECIPE)
    lab.kill_server(lab.servers()[0].id)
    assert sorted(states(lab)) == [InstanceState.GONE, InstanceState.RUNNING]
    assert immutable.heal(shop).is_live
    assert states(lab) == [InstanceState.RUNNING] * 2


def test_lost_answers_are_read_back(lab):
    """The switch's answer is lost after the write, and the deployment ends well."""
    lab.fail(Script(Fault.TIMEOUT_AFTER, "switch.write"))
    done = immutable.deploy(service(lab), RECIPE)
    assert done.is_live
    assert "unknown" in [step.result for step in done.steps]
    lab.fail(Script(Fault.REFUSED, "fleets.launch", times=None))
    assert immutable.deploy(service(lab), SECOND).outcome is BACK
    lab.fail()
    assert immutable.deploy(service(lab), SECOND).is_live


def test_old_readings_are_got_over():
    """Where readings may be old, some are, as soon as a script says so."""
    old = world("memory://old?staleness=2s")
    shop = service(old)
    old.fail(Script(Fault.STALE, "fleets.observe", times=3))
    assert immutable.deploy(shop, RECIPE).is_live
    assert immutable.deploy(shop, SECOND).is_live
    assert old.struck == {Fault.STALE: 3}
    forget("memory://old")


def test_a_deployer_dies_at_every_point(lab):
    """Wherever it is killed, what comes next finishes it, and nothing is left over."""
    shop = service(lab, strategy=immutable.BlueGreen(bake="1s", keep_warm="0s"))
    assert immutable.deploy(shop, RECIPE).is_live
    deaths = 0
    while True:
        lab.kill_deployer(deaths + 1)
        try:
            done = immutable.deploy(shop, RECIPE.run(f"echo {deaths}"))
        except Killed:
            deaths += 1
        else:
            break
        assert immutable.recover(shop).outcome in {LIVE, BACK}
        assert immutable.status(shop).interrupted is False
    assert done.is_live
    assert deaths > 50
    lab.wait("1h")
    immutable.recover(shop)
    assert len(lab.servers()) == 2


def test_two_deploy_at_once(lab):
    """While one is at work another is refused, though the first waits for it."""
    shop = service(lab)
    second = []

    def on_event(event):
        if isinstance(event, Started) and not second:
            beside(lambda: second.append(immutable.deploy(shop, SECOND))).join()

    assert immutable.deploy(shop, RECIPE, on_event=on_event).is_live
    assert (second[0].outcome, type(second[0].error)) == (REFUSED, errors.Contention)


def test_many_threads_deploy_in_one_world(lab):
    """Ten services at once: all become live, and time is the same for all."""
    shops = [service(lab, f"shop-{number}") for number in range(10)]

    async def all_at_once():
        return await asyncio.gather(*(aio.deploy(shop, RECIPE) for shop in shops))

    done = asyncio.run(all_at_once())
    assert all(each.is_live for each in done)
    assert len(lab.servers()) == 20


def test_threads_write_to_a_switch(lab):
    """Of many who expect the same version, one wins; the parts may be used directly."""
    shop = service(lab)
    immutable.deploy(shop, RECIPE)
    backend = open_backend(shop.backend)
    switch = open_switch(None, backend, shop.name, port=8080)
    view, won, lost = switch.read(), [], []

    def write():
        try:
            won.append(
                switch.write(view.routing, owner=view.owner, expected=view.version)
            )
        except errors.Conflict:
            lost.append(1)

    for thread in [beside(write) for _ in range(8)]:
        thread.join()
    assert (len(won), len(lost)) == (1, 7)


def test_threads_append_to_a_ledger(lab):
    """A number is given once, and every record is there."""
    store = open_ledger(f"memory://{lab.name}", "shop")
    won = []

    def append(text):
        for number in range(1, 21):
            try:
                store.append("notes", number, text)
                won.append(number)
            except errors.SequenceTaken:
                continue

    for thread in [beside(lambda t=t: append(t)) for t in (b"a", b"b", b"c")]:
        thread.join()
    assert sorted(won) == list(range(1, 21))
    assert [number for number, _ in store.read("notes", after=0, limit=99)] == won


def test_calls_work_inside_a_running_loop(lab):
    """As in a notebook's cell."""

    async def cell():
        return immutable.deploy(service(lab), RECIPE)

    assert asyncio.run(cell()).is_live


def test_a_watcher_acts_when_its_time_comes(lab):
    """Watching takes no time of its own; as others let it pass, it heals and retires."""
    strategy = immutable.BlueGreen(bake="1s", keep_warm="10m")
    shop = service(lab, strategy=strategy)
    immutable.deploy(shop, RECIPE)
    immutable.deploy(shop, SECOND)
    began, stop = lab.now, threading.Event()
    watcher = beside(lambda: immutable.watch(shop, heal=True, cancel=stop))
    lab.wait("9m")
    assert len(lab.servers()) == 4
    lab.wait("3m")
    assert len(lab.servers()) == 2
    lab.kill_server(lab.servers()[0].id)
    lab.wait("1m")
    assert states(lab) == [InstanceState.RUNNING] * 2
    assert lab.now - began < timedelta(minutes=14)
    stop.set()
    watcher.join(timeout=20)
    assert not watcher.is_alive()


def test_a_lone_watcher_stops_when_asked(lab):
    """With nobody else about it waits as on a real machine, and can be stopped."""
    shop, rounds, stop = service(lab), [], threading.Event()
    immutable.deploy(shop, RECIPE)

    def look():
        immutable.watch(shop, every="20ms", cancel=stop, on_event=rounds.append)

    before = lab.calls["ledger.read"]
    watcher = beside(look)
    while lab.calls["ledger.read"] < before + 3:
        stop.wait(0.01)
    stop.set()
    watcher.join(timeout=20)
    assert not watcher.is_alive()


@pytest.fixture
def heeds_ctrl_c():
    """Heed SIGINT, which a process in a shell's background was told to ignore."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heeds_ctrl_c")
def test_ctrl_c_stops_a_watcher(lab):
    """As in a notebook: what is begun is ended, and KeyboardInterrupt is raised."""
    shop = service(lab)
    immutable.deploy(shop, RECIPE)
    before = lab.calls["ledger.read"]

    def interrupt():
        while lab.calls["ledger.read"] < before + 2:
            time.sleep(0.01)
        _thread.interrupt_main()

    beside(interrupt)
    with pytest.raises(KeyboardInterrupt):
        immutable.watch(shop, every="10ms")
    assert not immutable.status(shop).interrupted


def test_an_explicit_host_wins(lab):
    """What was asked for with running_on is used, whatever the backend brings."""
    backend = open_backend(f"memory://{lab.name}")
    assert host.of(backend) is lab.host
    mine = ThisHost()
    with host.running_on(mine):
        assert host.of(backend) is mine
    assert isinstance(host.of(object()), ThisHost)


def test_the_largest_fleet_can_be_recovered(lab):
    """The members of 10,000 instances with long names are a record that can be read."""
    shop = service(lab, "a-name-of-20-letters", size=10_000)
    lab.kill_deployer(at=60)
    with pytest.raises(Killed):
        immutable.deploy(shop, RECIPE)
    assert immutable.recover(shop).outcome is BACK
    assert lab.servers() == ()
