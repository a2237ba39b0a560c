import contextlib
import errno
import os
import pickle
import shutil
import signal
import socket
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from haproxy_tools import (
    BLUE,
    OWNER,
    Servers,
    Switches,
    ask,
    attach,
    attempt,
    eventually,
    free_port,
    route,
)

from immutable.errors import (
    Ambiguous,
    InvalidInput,
    NotEnough,
    PermissionDenied,
    Taken,
    Unavailable,
    Unsupported,
)
from immutable.model import HealthCheck
from immutable_haproxy import process, runtime, storage
from immutable_haproxy.errors import cannot_listen, files_of
from immutable_haproxy.options import Address

CHECK = HealthCheck(port=8080, path="/health")


@pytest.mark.haproxy
def test_port_taken(switches: Switches) -> None:
    """A port that somebody listens on is refused without any effect."""
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as link:
        address = f"127.0.0.1:{link.getsockname()[1]}"
        switch = switches(listen=address)
        with pytest.raises(Taken, match=f"{address}.*choose another"):
            switch.preflight()
        version = switch.read().version
        with pytest.raises(Taken, match=address):
            switch.attach(BLUE, health=CHECK, owner=OWNER, expected=version)
        assert not switches.directory().exists()
        assert switch.read().version == version


@pytest.mark.haproxy
def test_preview_port_taken(servers: Servers, switches: Switches) -> None:
    """A given preview port that is taken is refused; a chosen one is simply another."""
    (one,) = servers("one")
    switch = switches(preview="")
    predicted = switch.endpoints()[1].port
    assert switch.endpoints()[1].port == predicted
    with socket.create_server(("127.0.0.1", predicted)):
        bad = switches(service="other", preview=f"127.0.0.1:{predicted}")
        with pytest.raises(Taken, match=str(predicted)):
            bad.preflight()
        attach(switch, BLUE, one)
        assert switch.endpoints()[1].port != predicted
    assert switch.endpoints() == switches(preview="").endpoints()


@pytest.mark.haproxy
def test_port_taken_while_haproxy_was_down(
    servers: Servers, switches: Switches
) -> None:
    """When both processes died and somebody took the port, that is what is said."""
    (one,) = servers("one")
    switch = switches()
    attach(switch, BLUE, one)
    route(switch, blue=100)
    switches.kill(switches.supervisor(), switches.haproxy())
    port = switch.endpoints()[0].port
    with _once_free(port), pytest.raises(Taken):
        switch.read()
    assert switch.read().routing.weight_of(BLUE) == 100
    eventually(lambda: attempt(switch, "/") == "one", "it serves again")


def _once_free(port: int) -> socket.socket:
    """Take the port as soon as the kernel has closed what the killed processes held."""
    taken: list[socket.socket] = []

    def take() -> bool:
        with contextlib.suppress(OSError):
            taken.append(socket.create_server(("127.0.0.1", port)))
        return bool(taken)

    eventually(take, f"port {port} is free")
    return taken[0]


@pytest.mark.haproxy
def test_other_options(servers: Servers, switches: Switches) -> None:
    """A running switch is not silently another one: changed options are named."""
    (one,) = servers("one")
    switch = switches()
    attach(switch, BLUE, one)
    other = switches(rise="7")
    for call in (other.read, other.preflight, other.endpoints):
        with pytest.raises(InvalidInput, match=r"rise=2.*shut_down"):
            call()
    foreign = switches(service="blog", directory=str(switches.directory()))
    with pytest.raises(InvalidInput, match="service shop"):
        foreign.read()
    assert switch.read().owner == OWNER


@pytest.mark.haproxy
def test_damaged_settings(servers: Servers, switches: Switches) -> None:
    """A damaged settings file is an error, not an empty switch."""
    (one,) = servers("one")
    switch = switches()
    attach(switch, BLUE, one)
    settings = switches.directory() / "settings.json"
    good = settings.read_text()
    for bad in ("", "{}", "[]", "null", good.replace('"schema": 1', '"schema": 99')):
        settings.write_text(bad)
        with pytest.raises(Unavailable, match="damaged"):
            switch.read()
    settings.write_text(good)
    assert switch.read().owner == OWNER


@pytest.mark.haproxy
def test_hanging_haproxy(
    servers: Servers, switches: Switches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A HAProxy that does not answer is unavailable, not empty; no wait is endless."""
    (one,) = servers("one")
    switch = switches()
    attach(switch, BLUE, one)
    monkeypatch.setattr(runtime, "_PATIENCE", timedelta(milliseconds=200))
    monkeypatch.setattr(process, "_PATIENCE", timedelta(milliseconds=500))
    pid = switches.haproxy()
    os.kill(pid, signal.SIGSTOP)
    with pytest.raises(Unavailable, match="does not answer"):
        switch.read()
    os.kill(pid, signal.SIGCONT)
    assert switch.read().owner == OWNER


@pytest.mark.haproxy
def test_hanging_writer(
    servers: Servers, switches: Switches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A writer that never finishes is named to those who wait; reading goes on."""
    (one,) = servers("one")
    switch = switches()
    attach(switch, BLUE, one)
    monkeypatch.setattr(storage, "_PATIENCE", timedelta(milliseconds=100))
    with storage.writing(storage.Home(switches.directory())):
        with pytest.raises(Unavailable, match=f"process {os.getpid()} is writing"):
            route(switch, blue=100)
        assert switch.read().owner == OWNER
    route(switch, blue=100)


@pytest.mark.haproxy
def test_haproxy_dies_before_the_commit(
    servers: Servers, switches: Switches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write whose end was not seen is ambiguous; reading tells what it came to."""
    (one,) = servers("one")
    switch = switches()
    attach(switch, BLUE, one)
    real = storage.replace

    def replace_then_die(path: Path, text: str) -> None:
        real(path, text)
        if path.name == "routing.map":
            monkeypatch.undo()
            switches.kill(switches.haproxy())

    monkeypatch.setattr("immutable_haproxy.fence.replace", replace_then_die)
    with pytest.raises(Ambiguous, match="read the switch"):
        route(switch, blue=100)
    assert switch.read().routing.weight_of(BLUE) == 100
    assert ask(switch) == "one"


@pytest.mark.haproxy
def test_full_disk(
    servers: Servers, switches: Switches, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without room for the file nothing is changed at HAProxy either."""
    (one,) = servers("one")
    switch = switches()
    version = attach(switch, BLUE, one)

    def full(_path: Path, _text: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("immutable_haproxy.fence.replace", full)
    with pytest.raises(NotEnough, match="make room"):
        route(switch, blue=100)
    monkeypatch.undo()
    assert switch.read().routing.weights == ()
    assert switch.read().version != version
    route(switch, blue=100)


@pytest.mark.haproxy
def test_foreign_entries(servers: Servers, switches: Switches) -> None:
    """A map that somebody else scribbled on is an error, not a routing."""
    (one,) = servers("one")
    switch = switches()
    attach(switch, BLUE, one)
    socket_path = switches.directory() / "haproxy.sock"
    for entry in ("7 http-6", "fleet.http-3 ???", "preview nowhere"):
        key = entry.split()[0]
        with runtime.conversation(socket_path) as talk:
            talk.ask(f"add map routing.map {entry}")
        with pytest.raises(Unavailable):
            switch.read()
        with runtime.conversation(socket_path) as talk:
            talk.ask(f"del map routing.map {key}")
    assert switch.read().owner == OWNER


@pytest.mark.haproxy
def test_long_directory(servers: Servers, switches: Switches, tmp_path: Path) -> None:
    """A directory deeper than a socket's path may be, with spaces and quotes, works."""
    (one,) = servers("one")
    folder = tmp_path / ("a long 'name' with \"quotes\" # and $HOME " * 4)
    switch = switches(directory=str(folder))
    attach(switch, BLUE, one)
    route(switch, blue=100)
    assert ask(switch) == "one"
    assert len(os.fsencode(folder)) > 108


def test_nothing_installed(
    switches: Switches, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without HAProxy the error says how to install it; reading still works."""
    monkeypatch.setattr(process, "_SYSTEM_PATH", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    switch = switches()
    with pytest.raises(Unavailable, match="apt-get install haproxy"):
        switch.preflight()
    with pytest.raises(Unavailable, match="apt-get install haproxy"):
        switch.attach(BLUE, health=CHECK, owner=OWNER, expected=switch.read().version)
    assert not switches.directory().exists()


def test_too_old(
    switches: Switches, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A HAProxy that cannot do it is refused by its version."""
    program = tmp_path / "haproxy"
    program.write_text(
        "#!/bin/sh\necho 'HA-Proxy version 2.2.9-2+deb11u6 2023/12/06'\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert shutil.which("haproxy") == str(program)
    with pytest.raises(Unsupported, match=r"2\.2.*2\.6"):
        switches().preflight()


def test_privileged_port() -> None:
    """A port that only root may use is refused with the two ways out."""
    error = cannot_listen(
        Address(host="127.0.0.1", port=80),
        PermissionError(errno.EACCES, "Permission denied"),
    )
    assert isinstance(error, PermissionDenied)
    assert "run as root" in str(error)
    assert "listen=ADDRESS:PORT" in str(error)


@pytest.mark.haproxy
def test_address_of_another_machine(switches: Switches) -> None:
    """An address that this machine does not have is refused before any effect."""
    switch = switches(listen=f"192.0.2.1:{free_port()}")
    with pytest.raises(Unavailable, match="choose an address of this machine"):
        switch.preflight()
    assert not switches.directory().exists()


def test_file_errors_are_translated(tmp_path: Path) -> None:
    """What the operating system refuses is said in our words, with the cause kept."""
    for number, kind in (
        (errno.EACCES, PermissionDenied),
        (errno.EROFS, PermissionDenied),
        (errno.ENOSPC, NotEnough),
        (errno.EIO, Unavailable),
    ):
        with pytest.raises(kind, match=str(tmp_path)) as caught, files_of(tmp_path):
            raise OSError(number, os.strerror(number))
        assert isinstance(caught.value.__cause__, OSError)
        assert pickle.loads(pickle.dumps(caught.value)).hint == caught.value.hint  # noqa: S301 - our own bytes


@pytest.mark.haproxy
def test_directory_that_cannot_be_made(switches: Switches, tmp_path: Path) -> None:
    """A file where the directory should be is an error that names it."""
    (tmp_path / "file").write_text("")
    switch = switches(directory=str(tmp_path / "file" / "switch"))
    with pytest.raises(Unavailable, match="file/switch"):
        switch.attach(BLUE, health=CHECK, owner=OWNER, expected="not-running")
