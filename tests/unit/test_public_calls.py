"""The public calls, as a program makes them: wrong inputs, events, Ctrl-C, asyncio."""

import asyncio
import io
import os
import pickle
import signal
import subprocess
import sys
import threading
from datetime import timedelta

import attrs
import pytest
from fakes import FakeBackend, FakeSwitch, World

import immutable
from immutable import errors
from immutable.display.plain import plain_progress


@pytest.fixture
def world():
    """Return a world whose instances are ready at once."""
    return World(boot=timedelta())


@pytest.fixture
def service(world, tmp_path):
    """Return a service with a ledger file and no bake."""
    return immutable.Service(
        "shop",
        backend=FakeBackend(world),
        switch=FakeSwitch(world),
        ports=8080,
        ledger=f"sqlite:///{tmp_path}/ledger.db",
        strategy=immutable.BlueGreen(bake="0s"),
    )


def test_the_main_job(service, world):
    """Build, deploy, roll back, look: the calls as in the README."""
    one = immutable.build(immutable.Recipe.base("debian:12"), backend=service.backend)
    assert immutable.deploy(service, one).is_live
    assert immutable.deploy(service, world.image("two")).release.number == 2
    assert immutable.status(service).release.number == 2
    assert immutable.rollback(service).release.number == 1
    assert [line.verb for line in immutable.history(service)] == [
        "deploy",
        "deploy",
        "rollback",
    ]
    assert immutable.logs(service, release=1)[0].console == "panic"


def test_a_plan_can_be_deployed(service, world):
    """A plan is a value: print it, keep it, deploy it once."""
    plan = immutable.plan(service, world.image("one"))
    assert "deploy shop v1: 1 instances" in str(plan)
    assert immutable.deploy(plan).is_live
    again = immutable.deploy(plan)
    assert again.outcome is immutable.Outcome.REFUSED
    assert isinstance(again.error, errors.StalePlan)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "Shop"}, "portable"),
        ({"name": "x" * 21}, "portable"),
        ({"name": ""}, "portable"),
        ({"size": 0}, "cannot be meant"),
        ({"size": 10_001}, "cannot be meant"),
        ({"size": True}, "cannot be meant"),
        ({"ports": 0}, "cannot be served"),
        ({"ports": ()}, "cannot be served"),
        ({"health": "healthz"}, "no HTTP path"),
        ({"health": "/a b"}, "no HTTP path"),
        ({"validators": [1]}, "cannot be called"),
        ({"drain": "soon"}, "soon"),
    ],
)
def test_a_service_that_cannot_work_is_refused(change, words):
    """Wrong settings are refused when the service is described."""
    settings = {"name": "shop", "backend": "fake://", "ports": 80} | change
    name = settings.pop("name")
    with pytest.raises(errors.InvalidInput, match=words):
        immutable.Service(name, **settings)


def test_an_unknown_scheme_says_what_is_installed():
    """The error names the scheme, what is installed, and a quoted install command."""
    service = immutable.Service("shop", backend="libcloud://somewhere", ports=80)
    with pytest.raises(errors.UnknownScheme) as caught:
        immutable.status(service)
    assert "pip install 'immutable-deploy[libcloud]'" in str(caught.value)


def test_a_secret_in_a_url_is_refused():
    """Addresses are journalled and shown: no secret goes into one."""
    service = immutable.Service("shop", backend="aws://eu?secret=x", ports=80)
    with pytest.raises(errors.InvalidInput, match="secret"):
        immutable.status(service)


def test_an_empty_address_is_no_missing_one(service):
    """A variable that was not set must not lead to another ledger."""
    with pytest.raises(errors.InvalidInput, match="no URL"):
        immutable.history(attrs.evolve(service, ledger=""))


@pytest.mark.parametrize("subject", ["img-unknown", 7, None])
def test_what_cannot_be_deployed_is_refused(service, subject):
    """An unknown image or a thing of another kind raises before any effect."""
    with pytest.raises(errors.InvalidInput):
        immutable.deploy(service, subject)
    assert immutable.history(service) == ()


@pytest.mark.parametrize("call", [immutable.deploy, immutable.status, immutable.heal])
def test_a_name_is_no_service(call):
    """The calls take a service, and say so."""
    with pytest.raises(errors.InvalidInput, match="no Service"):
        call("shop")


def test_rollback_without_history_is_refused(service):
    """There is nothing to go back to."""
    with pytest.raises(errors.UnknownRelease, match="none"):
        immutable.rollback(service)


def test_scale_of_nothing_is_refused(service):
    """Nothing is live: the outcome says so."""
    done = immutable.scale(service, 3)
    assert done.outcome is immutable.Outcome.REFUSED
    with pytest.raises(errors.Refused, match="deploy first"):
        done.raise_for_outcome()


def test_logs_of_an_unknown_release_are_refused(service, world):
    """The error says which releases there are."""
    immutable.deploy(service, world.image("one"))
    with pytest.raises(errors.UnknownRelease, match="v1"):
        immutable.logs(service, release=9)


def test_a_damaged_ledger_refuses_the_deploy(service, world, tmp_path):
    """A file that is no ledger is an outcome, and is left as it was."""
    (tmp_path / "ledger.db").write_text(
        "something else entirely, not a database at all"
    )
    done = immutable.deploy(service, world.image("one"))
    assert done.outcome is immutable.Outcome.REFUSED
    assert isinstance(done.error, errors.NotALedger)
    assert not world.inventory()


def test_events_tell_the_story(service, world):
    """Events come in order, and a listener that raises disturbs nothing."""
    seen = []

    def listen(event):
        seen.append(type(event).__name__)
        raise RuntimeError("listener")

    assert immutable.deploy(service, world.image("one"), on_event=listen).is_live
    assert seen[0] == "Started"
    assert "Shifted" in seen
    assert seen[-1] == "Ended"


def test_progress_is_silent_unless_asked_for(service, world, capfd):
    """A library never prints; asked to, it writes plain lines to standard error."""
    immutable.deploy(service, world.image("one"))
    assert capfd.readouterr() == ("", "")
    immutable.deploy(service, world.image("two"), progress="plain")
    captured = capfd.readouterr()
    assert captured.out == ""
    assert "traffic: 100% shop-v2" in captured.err


def test_rich_progress_draws(service, world, capfd):
    """The display on a terminal tells the same story."""
    immutable.deploy(service, world.image("one"), progress="rich")
    assert "traffic" in capfd.readouterr().err


def test_a_listener_that_is_no_function_is_refused(service, world):
    """Before anything is done: its errors would only be logged."""
    with pytest.raises(errors.InvalidInput, match="on_event 'print' cannot be called"):
        immutable.deploy(service, world.image("one"), on_event="print")


def test_an_unknown_progress_is_refused(service, world):
    """The kinds of progress are few."""
    with pytest.raises(errors.InvalidInput, match="progress"):
        immutable.deploy(service, world.image("one"), progress="loud")


def test_plain_lines_carry_the_time():
    """Each line begins with the time of its event."""
    out = io.StringIO()
    with plain_progress(out) as show:
        from immutable.events import Output
        from immutable.host import ThisHost

        show(Output(at=ThisHost().now(), line="hello"))
    assert out.getvalue().endswith("| hello\n")


def test_asyncio_has_the_same_calls(service, world):
    """The asynchronous calls give the same results."""

    async def main():
        from immutable import aio

        done = await aio.deploy(service, world.image("one"))
        return done, await aio.status(service)

    done, status = asyncio.run(main())
    assert done.is_live
    assert status.release.number == 1


def test_cancelling_the_task_goes_back(service, world):
    """A cancelled task ends after production is safe, with nothing left."""
    world.boot = timedelta(days=1)

    async def main():
        from immutable import aio

        task = asyncio.create_task(aio.deploy(service, world.image("one")))
        while not world.fleets:
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert not world.inventory()
    assert immutable.history(service)[0].outcome is immutable.Outcome.ROLLED_BACK


def test_ctrl_c_goes_back_and_is_raised(service, world):
    """An interrupt while waiting ends clean, and then interrupts the program."""
    world.boot = timedelta(days=1)
    # a shell that starts programs in the background has them ignore it
    before = signal.signal(signal.SIGINT, signal.default_int_handler)

    def interrupt():
        while not world.places:
            pass
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt, match="rolled back"):
        immutable.deploy(service, world.image("one"))
    thread.join()
    signal.signal(signal.SIGINT, before)
    assert not world.inventory()


def test_a_cancel_object_is_obeyed(service, world):
    """Anything with is_set() stops a deployment."""
    stop = threading.Event()
    stop.set()
    done = immutable.deploy(service, world.image("one"), cancel=stop)
    assert isinstance(done.error, errors.Cancelled)
    assert not world.inventory()


def test_errors_pickle():
    """Errors cross process boundaries with all their fields."""
    error = errors.NotEnough("no room", hint="scale down", resource="x", retryable=True)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert (type(again), str(again), again.__dict__) == (
        type(error),
        str(error),
        error.__dict__,
    )


def test_importing_is_light():
    """Importing the package loads no SDK and nothing that draws or stores."""
    code = (
        "import sys, immutable; heavy = {'boto3', 'google.cloud', 'azure', 'sqlalchemy',"
        "'pandas', 'rich', 'libvirt', 'sqlite3', 'cattrs', 'asyncio'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert found.stdout.strip() == "[]"


def test_deploying_is_light():
    """What proves and signs images is loaded by those who do, and by those who demand it."""
    code = (
        "import sys, immutable; immutable.deploy; immutable.Service;"
        "print([m for m in sys.modules if 'images.signing' in m or 'images.proof' in m])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    )
    assert found.stdout.strip() == "[]"


def test_every_public_name_is_there():
    """Each name of the surface loads, and a stranger is refused."""
    for name in immutable.__all__:
        assert getattr(immutable, name) is not None
    with pytest.raises(AttributeError):
        immutable.stranger  # noqa: B018 - the access is the test


def test_the_core_names_no_provider():
    """Provider names belong to backends; the core may name only what to install."""
    from pathlib import Path

    root = Path(immutable.__file__).parent
    words = ("libvirt", "haproxy", "boto", "azure", "gcp")
    allowed = {"registry.py"}
    guilty = [
        path.name
        for path in root.rglob("*.py")
        if path.name not in allowed
        and any(f"import {word}" in path.read_text() for word in words)
    ]
    assert guilty == []


def test_asyncio_has_every_verb():
    """Whoever waits for one call can wait for all."""
    import inspect

    verbs = {n for n in immutable.__all__ if inspect.isfunction(getattr(immutable, n))}
    makers = {"http", "tcp"}
    assert verbs - makers <= set(vars(immutable.aio))
