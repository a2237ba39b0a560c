"""Each check of an image: passed, failed, undecided."""

import hashlib
import socket
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from images import Fails, Says, add_busybox, make_root, needs_root, put

from immutable.errors import InvalidInput
from immutable.images.proof import (
    Booted,
    Place,
    Root,
    Text,
    command,
    contained,
    file,
    http,
    package,
    port,
    service,
)
from immutable.images.proof.containing import OUTPUT_LIMIT_BYTES
from immutable.images.unbooted import OutOfReach
from immutable.images.unbooted import find as find_inside
from immutable.judging import VerdictStatus

PASSED, FAILED, UNDECIDED = VerdictStatus
BOOTED = Booted(address="127.0.0.1")
SECOND = timedelta(seconds=1)


@pytest.fixture
def root(tmp_path):
    """Return the root of a small image."""
    return Root(path=make_root(tmp_path / "root"))


def judged(check, target):
    """Return the status and the evidence of one judgement."""
    found = check.judge(target)
    assert found.check == check.name
    return found.status, found.verdict.evidence


@pytest.mark.parametrize(
    ("check", "status"),
    [
        (package("bash"), PASSED),
        (package("bash:amd64"), PASSED),
        (package("bash", "5.2.15-2+b2"), PASSED),
        (package("bash", "5.2.*"), PASSED),
        (package("bash", ("4.*", "5.*")), PASSED),
        (package("bash", "5.2"), FAILED),
        (package("bash", installed=False), FAILED),
        (package("nginx"), FAILED),
        (package("gone"), FAILED),
        (package("gone", installed=False), PASSED),
        (package("bas"), FAILED),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_package_is_looked_up(root, check, status):
    """By name and version, wholly installed."""
    assert judged(check, root)[0] is status


@pytest.mark.parametrize("state", ["unpacked", "half-configured", "half-installed"])
def test_a_package_that_is_there_in_part_is_neither_installed_nor_absent(root, state):
    """What failed in the middle of it is not what was asked for."""
    status = root.path / "var/lib/dpkg/status"
    status.write_text(f"Package: web\nStatus: install ok {state}\nVersion: 1\n")
    found = judged(package("web"), root)
    assert found == (FAILED, "version 1, in part only")
    assert judged(package("web", installed=False), root)[0] is FAILED


def test_packages_without_a_list_are_undecided(root):
    """An image without dpkg's list, or with a damaged one, says nothing."""
    status = root.path / "var/lib/dpkg/status"
    status.write_text("Package: bash\n\n")
    assert judged(package("bash"), root)[0] is UNDECIDED
    status.unlink()
    assert judged(package("bash"), root)[0] is UNDECIDED
    assert judged(package("bash", installed=False), root)[0] is UNDECIDED


def test_what_a_file_is_like(root):
    """Mode, owner, kind, content and digest, each right and wrong."""
    made = put(root.path, "etc/app.conf", "port = 80\nname = shop\n", mode=0o640)
    digest = hashlib.sha256(made.read_bytes()).hexdigest()
    uid = str(made.stat().st_uid)
    right = {
        "mode": "0640",
        "owner": uid,
        "group": str(made.stat().st_gid),
        "kind": "file",
        "contains": ["port = 80", Text(text="^name = s.*p$", is_pattern=True)],
        "sha256": digest,
    }
    wrong = {
        "mode": 0o644,
        "owner": "mallory",
        "group": "mallory",
        "kind": "directory",
        "contains": Text(text="port", absent=True),
        "sha256": "0" * 64,
    }
    assert judged(file("/etc/app.conf", **right), root) == (PASSED, "is there")
    for name, value in wrong.items():
        status, evidence = judged(file("/etc/app.conf", **{name: value}), root)
        assert status is FAILED, name
        assert evidence
    status, evidence = judged(file("/etc/app.conf", **wrong), root)
    assert "mode 0640, not 0644" in evidence
    assert "does not meet no 'port'" in evidence
    assert judged(file("/etc/app.conf", contains="nowhere"), root)[0] is FAILED


@pytest.mark.skipif("os.geteuid() != 0", reason="only root gives files away")
def test_owners_have_the_images_own_names(root):
    """Who 1000 is, the image says, not this machine."""
    import os

    os.chown(put(root.path, "srv/app"), 1000, 1000)
    assert judged(file("/srv/app", owner="app", group="app"), root)[0] is PASSED
    assert judged(file("/srv/app", owner=1000), root)[0] is PASSED
    status, evidence = judged(file("/srv/app", owner="root"), root)
    assert (status, evidence) == (FAILED, "belongs to app or 1000, not root")


def test_a_file_that_must_not_be_there(root):
    """Its presence fails, its absence passes."""
    assert judged(file("/etc/nothing", exists=False), root)[0] is PASSED
    assert judged(file("/etc/passwd", exists=False), root)[0] is FAILED
    assert judged(file("/etc/nothing"), root)[0] is FAILED
    assert judged(file("/etc/passwd/below"), root)[0] is FAILED


def test_links_stay_inside(root, tmp_path):
    """Absolute ones begin at the root, and no number of .. leads out of it."""
    outside = tmp_path / "outside"
    outside.write_text("outside")
    put(root.path, f"{tmp_path}/outside".lstrip("/"), "inside")
    (root.path / "etc/absolute").symlink_to(outside)
    (root.path / "etc/up").symlink_to("../../../../../../../.." + str(outside))
    for name in ("/etc/absolute", "/etc/up", f"/../../..{outside}"):
        assert judged(file(name, contains="inside"), root)[0] is PASSED
        assert judged(file(name, contains="outside"), root)[0] is FAILED
    put(root.path, "usr/bin/tool")
    assert judged(file("/bin/tool"), root)[0] is PASSED


def test_a_link_itself(root):
    """It is followed, unless it is what is asked about."""
    (root.path / "etc/alias").symlink_to("passwd")
    assert judged(file("/etc/alias", kind="file"), root)[0] is PASSED
    assert judged(file("/etc/alias", kind="link", link="passwd"), root)[0] is PASSED
    assert judged(file("/etc/alias", link="group"), root)[0] is FAILED
    assert judged(file("/etc/passwd", link="group"), root)[0] is FAILED
    (root.path / "usr/bin/only-here").symlink_to("there")
    (root.path / "programs").symlink_to("/usr/bin")
    for name in ("/bin/only-here", "/programs/only-here"):
        assert judged(file(name, link="there"), root)[0] is PASSED
    assert judged(file("/etc/alias", kind="link", contains="x"), root)[0] is FAILED


def test_links_in_a_circle_are_undecided(root):
    """Nothing can be said of them."""
    (root.path / "etc/a").symlink_to("b")
    (root.path / "etc/b").symlink_to("a")
    assert judged(file("/etc/a"), root)[0] is UNDECIDED
    with pytest.raises(OutOfReach):
        find_inside(root.path, file("/etc/a").path)


def test_long_files_are_searched_to_their_end(root):
    """Also where the text lies across two pieces that are read."""
    for size in ((1 << 20) - 3, (64 << 10) - 3, 3 << 20):
        put(root.path, "srv/big", b"x" * size + b"needle\n")
        assert judged(file("/srv/big", contains="needle"), root)[0] is PASSED
        assert judged(file("/srv/big", contains="needles"), root)[0] is FAILED
    put(root.path, "srv/lines", b"line\n" * 40_000 + b"last 7")
    last = Text(text="^last [0-9]$", is_pattern=True)
    assert judged(file("/srv/lines", contains=last), root)[0] is PASSED


def test_a_command_says_what_is_wanted(root):
    """Its status, what it prints, and what it complains about."""
    said = Root(path=root.path, run=Says(b"nginx/1.22\n", stderr=b"warning\n"))
    assert judged(command("nginx -v", stdout="1.22"), said)[0] is PASSED
    assert judged(command("nginx -v", stderr="warning"), said)[0] is PASSED
    assert judged(command("nginx -v", stdout="1.18"), said)[0] is FAILED
    assert judged(command("nginx -v", status=1), said)[0] is FAILED
    none = Text(text="warning", absent=True)
    assert judged(command("nginx -v", stderr=none), said)[0] is FAILED
    assert said.run.asked[0] == ("/bin/sh", "-c", "nginx -v")


def test_a_command_that_cannot_be_run_is_undecided(root):
    """Without a runner, in time, or in the place that was meant."""
    assert judged(command("true"), root)[0] is UNDECIDED
    assert judged(command("true"), BOOTED)[0] is UNDECIDED
    assert judged(command("true", booted=True), BOOTED)[0] is UNDECIDED
    assert command("true", booted=True).needs == (Place.BOOTED,)
    for error in (TimeoutError(), PermissionError("no")):
        broken = Root(path=root.path, run=Fails(error))
        assert judged(command("true"), broken)[0] is UNDECIDED
    fine = Booted(address="127.0.0.1", run=Says())
    assert judged(command("true", booted=True), fine)[0] is PASSED


def test_what_a_command_prints_is_told_without_secrets(root):
    """Neither its output nor its line shows what looks like a secret."""
    token = "ghp_" + "a1B2" * 9
    run = Says(b"login with " + token.encode() + b" password=hunter22\n", status=1)
    found = command(f"login --token={token}").judge(Root(path=root.path, run=run))
    assert found.status is FAILED
    assert "login" in found.check
    for text in (found.check, found.verdict.evidence):
        assert token not in text
        assert "hunter22" not in text
        assert "***" in text


def test_a_service_begins_by_a_script_or_a_unit(root):
    """A recipe's own script, or a unit that is wanted and not masked."""
    assert judged(service("web"), root)[0] is FAILED
    assert judged(service("web", enabled=False), root)[0] is PASSED
    put(root.path, "usr/lib/immutable/services/web", "#!/bin/sh\n", mode=0o755)
    assert judged(service("web"), root)[0] is PASSED
    wants = root.path / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True)
    put(root.path, "usr/lib/systemd/system/nginx.service")
    assert judged(service("nginx"), root)[0] is FAILED
    (wants / "nginx.service").symlink_to("/usr/lib/systemd/system/nginx.service")
    assert judged(service("nginx"), root)[0] is PASSED
    assert judged(service("nginx.service"), root)[0] is PASSED
    (wants.parent / "nginx.service").symlink_to("/dev/null")
    assert judged(service("nginx"), root)[0] is FAILED


@pytest.fixture
def web():
    """Return the port of a server that answers /healthz, and says no to all else."""

    class Answers(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/healthz" else 404)
            self.end_headers()
            self.wfile.write(b"well" if self.path == "/healthz" else b"nothing")

        def log_message(self, *_arguments):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.server_port
    server.shutdown()
    thread.join()
    server.server_close()


def test_what_a_booted_instance_answers(web, root):
    """Ports, paths and services, at the number where they are reached."""
    up = Booted(address="127.0.0.1", ports={8080: web})
    assert judged(port(8080, within="0s"), up)[0] is PASSED
    assert judged(port(8080, open=False, within="0s"), up)[0] is FAILED
    assert judged(http("/healthz", port=8080, contains="well"), up)[0] is PASSED
    wrong = http("/other", port=8080, within="0s")
    assert judged(wrong, up) == (FAILED, "status 404: “nothing”")
    missing = http("/healthz", port=8080, contains="ill", within="0s")
    assert judged(missing, up)[0] is FAILED
    assert judged(http("/other", port=8080, status=(200, 404)), up)[0] is PASSED
    assert judged(service("web", port=8080), up)[0] is PASSED
    assert judged(service("web", port=8080, path="/healthz"), up)[0] is PASSED
    assert judged(service("web"), up)[0] is UNDECIDED


def test_what_nobody_answers(root):
    """A closed port is known; no answer over HTTP, and no instance, are not."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        number = held.getsockname()[1]
    assert judged(port(number, within="0s"), BOOTED)[0] is FAILED
    assert judged(port(number, open=False, within="0s"), BOOTED)[0] is PASSED
    assert judged(http("/", port=number, within="0s"), BOOTED)[0] is UNDECIDED
    down = service("web", port=number, path="/", within="0s")
    assert judged(down, BOOTED)[0] is UNDECIDED
    metadata = Booted(address="169.254.169.254")
    assert judged(port(80, within="0s"), metadata)[0] is UNDECIDED
    for check in (port(number), http("/", port=number)):
        assert judged(check, root)[0] is UNDECIDED
        assert check.needs == (Place.BOOTED,)


def test_an_instance_that_is_starting_is_asked_again(web):
    """Until it answers as it should."""
    up = Booted(address="127.0.0.1", ports={8080: web})
    answers = []

    class Late:
        def __init__(self, check):
            self.check = check

        def ask(self):
            answers.append(1)
            return self.check.judge(up if len(answers) == 3 else BOOTED)

    from immutable.images.proof.waiting import insist

    late = Late(http("/healthz", port=8080, within="0s"))
    assert insist(late.ask, within=timedelta(minutes=1)).status is PASSED
    assert len(answers) == 3


def test_a_port_that_opens_late_is_not_closed():
    """An instance that has not started yet refuses everything."""
    with socket.create_server(("127.0.0.1", 0)) as held:
        number = held.getsockname()[1]
    late = threading.Timer(
        0.5, lambda: servers.append(socket.create_server(("127.0.0.1", number)))
    )
    servers = []
    late.start()
    found = judged(port(number, open=False, within="1m"), BOOTED)
    late.join()
    servers[0].close()
    assert found[0] is FAILED


def test_only_files_are_looked_at_in_a_root(root):
    """What is asked of a root cannot be asked of an instance."""
    for check in (package("bash"), file("/etc/passwd")):
        assert judged(check, BOOTED)[0] is UNDECIDED
        assert check.needs == (Place.ROOT,)


@pytest.mark.parametrize(
    "make",
    [
        lambda: package(" "),
        lambda: file("relative"),
        lambda: file("/a", mode="9"),
        lambda: file("/a", sha256="abc"),
        lambda: file("/a", exists=False, mode=0o600),
        lambda: file("/a", contains=""),
        lambda: file("/a", contains=Text(text="(", is_pattern=True)),
        lambda: command(""),
        lambda: command(()),
        lambda: command("a\0b"),
        lambda: command("true", timeout="soon"),
        lambda: service("../x"),
        lambda: service("web", path="/"),
        lambda: service("web", enabled=False, port=80),
        lambda: port(0),
        lambda: port(70_000),
        lambda: http("nowhere", port=80),
        lambda: http("/", port=80, status=()),
        lambda: http("/", port=80, status=700),
        lambda: Root(path="/nowhere/at/all"),
    ],
)
def test_what_can_never_work_is_refused(make):
    """When the check is made, not when it is judged."""
    with pytest.raises(InvalidInput):
        make()


def test_the_digest_of_a_check_is_what_it_asks_for():
    """Equal checks have one digest, and any change makes another."""
    checks = [
        file("/a"),
        file("/b"),
        file("/a", exists=False),
        file("/a", mode=0o600),
        file("/a", contains="None"),
        file("/a", contains=Text(text="None", is_pattern=True)),
        file("/a", owner="None"),
        package("a"),
        package("a", "1"),
        command("a"),
        command("a", status=1),
        command("a", booted=True),
        port(80),
        http("/", port=80),
        service("a"),
    ]
    assert len({check.digest for check in checks}) == len(checks)
    assert file("/a", mode="600").digest == file("/a", mode=0o600).digest


@needs_root
def test_commands_run_inside_and_change_nothing(root):
    """In a root of their own that is read only, with scratch space and no network."""
    run = contained(add_busybox(root.path))
    ran = run(("/bin/sh", "-c", "cat /etc/passwd; echo $HOME"), timeout=60 * SECOND)
    assert ran.stdout.decode().splitlines()[0].startswith("root:x:0:0")
    assert ran.stdout.endswith(b"/root\n")
    assert run(("/bin/touch", "/etc/new"), timeout=60 * SECOND).status == 1
    assert not (root.path / "etc/new").exists()
    assert run(("/bin/touch", "/tmp/new", "/run/new"), timeout=60 * SECOND).status == 0  # noqa: S108 - the image's own
    assert not (root.path / "tmp/new").exists()
    nets = run(("/bin/cat", "/proc/net/dev"), timeout=60 * SECOND).stdout
    assert [line.split(b":")[0].strip() for line in nets.splitlines()[2:]] == [b"lo"]
    assert run(("/bin/nothing",), timeout=60 * SECOND).status == 127


@needs_root
@pytest.mark.parametrize("place", ["dev", "proc", "tmp", "run"])
def test_a_root_whose_places_lead_out_of_it_changes_nothing_there(
    root, place, tmp_path
):
    """A link means somewhere in the image, and never on this machine."""
    add_busybox(root.path)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "random").write_text("kept")
    if (root.path / place).is_dir():
        (root.path / place).rmdir()
    (root.path / place).symlink_to(outside)
    ran = contained(root.path)(("/bin/sh", "-c", "echo well"), timeout=60 * SECOND)
    assert (ran.status, ran.stdout) == (0, b"well\n")
    assert [p.name for p in outside.iterdir()] == ["random"]
    assert (outside / "random").read_text() == "kept"


@needs_root
def test_commands_that_never_end_or_say_too_much(root):
    """They are ended, with all that they started, and are undecided."""
    run = contained(add_busybox(root.path))
    slow = command("sleep 300 & sleep 300", timeout="500ms")
    there = Root(path=root.path, run=run)
    assert judged(slow, there) == (UNDECIDED, "did not end within 500ms")
    status, evidence = judged(command("yes"), there)
    assert status is UNDECIDED
    assert str(OUTPUT_LIMIT_BYTES) in evidence
