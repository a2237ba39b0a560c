"""Files written for goss: as checks of ours, and as judged by the image's own goss."""

import json

import pytest
from images import Fails, Says, make_root, needs_root, put

from immutable.errors import InvalidInput, MissingFiles, Unsupported
from immutable.images.proof import (
    Booted,
    Place,
    Root,
    Text,
    command,
    file,
    goss,
    goss_program,
    http,
    package,
    port,
    service,
)
from immutable.judging import VerdictStatus

PASSED, FAILED, UNDECIDED = VerdictStatus
YAML = r"""
package:
  bash:
    installed: true
    versions:
      - 5.2.15-2+b2
  telnetd:
    installed: false
file:
  /etc/passwd:
    title: the users
    exists: true
    mode: "0644"
    owner: root
    group: root
    filetype: file
    contents:
      - "root:"
      - "!mallory"
      - "/^app:/"
      - "!/^eve:/"
      - '\!literal'
  /etc/old:
    exists: false
service:
  nginx:
    enabled: true
    running: true
  telnet:
    enabled: false
    running: false
port:
  tcp:8080:
    listening: true
  "22":
    listening: false
command:
  nginx -v:
    exit-status: 0
    stderr: ["nginx/"]
    timeout: 5000
  two:
    exec: "false"
    exit-status: 1
http:
  http://localhost:8080/healthz?full=1:
    status: 200
    body: [well]
"""
CHECKS = (
    package("bash", "5.2.15-2+b2"),
    package("telnetd", installed=False),
    file(
        "/etc/passwd",
        mode=0o644,
        owner="root",
        group="root",
        kind="file",
        contains=(
            "root:",
            Text(text="mallory", absent=True),
            Text(text="^app:", is_pattern=True),
            Text(text="^eve:", is_pattern=True, absent=True),
            "!literal",
        ),
    ),
    file("/etc/old", exists=False),
    service("nginx"),
    command(("systemctl", "is-active", "nginx"), booted=True),
    service("telnet", enabled=False),
    command(("systemctl", "is-active", "telnet"), status=3, booted=True),
    port(8080),
    port(22, open=False),
    command("nginx -v", stderr="nginx/", timeout="5s"),
    command("false", status=1, timeout="10s"),
    http("/healthz?full=1", port=8080, contains="well"),
)
# As goss 0.3 and goss 0.4 print them.
OLD = {
    "duration": 500,
    "err": None,
    "expected": ["true"],
    "found": ["true"],
    "human": "",
    "meta": None,
    "property": "exists",
    "resource-id": "/etc/passwd",
    "resource-type": "File",
    "result": 0,
    "successful": True,
    "summary-line": "File: /etc/passwd: exists: matches expectation: [true]",
    "test-type": 0,
    "title": "",
}
NEW = {
    "successful": True,
    "skipped": False,
    "resource-id": "/etc/passwd",
    "resource-type": "File",
    "property": "exists",
    "title": "",
    "meta": None,
    "result": 0,
    "err": None,
    "matcher-result": {"actual": True, "expected": [True], "message": "to equal"},
    "start-time": "1970-01-01T00:00:00Z",
    "end-time": "1970-01-01T00:00:00Z",
    "duration": 0,
    "summary-line": "File: /etc/passwd: exists: matches expectation: true",
    "summary-line-compact": "File: /etc/passwd: exists: matches expectation: true",
}


@pytest.fixture
def write(tmp_path):
    """Return what writes a goss file."""

    def write(text, name="goss.yaml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def said(*results):
    """Return what goss prints of some results."""
    summary = {"failed-count": 0, "summary-line": "Count", "test-count": len(results)}
    return json.dumps({"results": results, "summary": summary}).encode()


def judged(path, runner, tmp_path):
    """Return the judgement of goss's own words."""
    root = Root(path=make_root(tmp_path / "root"), run=runner)
    return goss_program(path).judge(root)


def test_a_goss_file_is_read_as_checks(write):
    """Each entry means what goss means by it."""
    assert goss(write(YAML)) == CHECKS


def test_json_needs_no_extra(write, monkeypatch):
    """And says the same; YAML without PyYAML says what to install."""
    import yaml

    document = json.dumps(yaml.safe_load(YAML))
    monkeypatch.setitem(__import__("sys").modules, "yaml", None)
    assert goss(write(document, "goss.json")) == CHECKS
    with pytest.raises(Unsupported, match=r"immutable-deploy\[goss\]"):
        goss(write(YAML))


def test_where_commands_go_is_said_outside(write):
    """The language itself does not know of unbooted roots."""
    path = write("command: {'true': {exit-status: 0}}")
    assert goss(path)[0].needs == (Place.ROOT,)
    assert goss(path, booted=True)[0].needs == (Place.BOOTED,)


@needs_root
def test_its_checks_are_judged(write, tmp_path):
    """Passed, failed and undecided, as any other."""
    root = make_root(tmp_path / "root")
    put(root, "etc/passwd", "root:x:0:0::/root:/bin/sh\napp:x:1:1\n!literal\n")
    found = [check.judge(Root(path=root)).status for check in goss(write(YAML))]
    assert found[:5] == [PASSED, PASSED, PASSED, PASSED, FAILED]
    assert found[5:] == [UNDECIDED, PASSED, *[UNDECIDED] * 6]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("dns: {localhost: {resolvable: true}}", "dns"),
        ("gossfile: {other.yaml: {}}", "gossfile"),
        ("file: {/a: {exists: true, md5: abc, size: 3}}", "md5, size"),
        ("file: {/a: {exists: true, filetype: socket}}", "socket"),
        ("file: {/a: {contents: {and: [a]}}}", "contents"),
        ("file: {/a: {contents: [{have-prefix: a}]}}", "contents"),
        ("file: {/a: {exists: 1}}", "exists"),
        ("package: {a: {installed: true, skip: true}}", "skip"),
        ("package: {a: {installed: {gt: 1}}}", "installed"),
        ("service: {a: {}}", "a asks for nothing"),
        ("service: {a: {enabled: true, runlevels: [3]}}", "runlevels"),
        ("port: {'udp:53': {listening: true}}", "udp:53"),
        ("port: {'tcp:80': {listening: true, ip: [0.0.0.0]}}", "ip"),
        ("port: {'tcp:80000': {listening: true}}", "80000"),
        ("command: {a: {exit-status: true}}", "exit-status"),
        ("http: {'https://localhost/': {status: 200}}", "https"),
        ("http: {'http://example.com/': {status: 200}}", "example.com"),
        ("http: {'http://localhost:x/': {status: 200}}", "localhost:x"),
        ("http: {'http://localhost/': {status: 200, headers: [a]}}", "headers"),
        (
            "http: {'http://localhost/': {status: 200, no-follow-redirects: false}}",
            "redirects",
        ),
        ("file: {'{{.Vars.a}}': {exists: true}}", "templates"),
        ("file: [a]", "file"),
        ("file", "goss.yaml"),
        ("file: {/a: nothing}", "/a"),
        ("a: b: c", "goss.yaml"),
        ("x: !!python/object/apply:os.system ['true']", "goss.yaml"),
    ],
)
def test_what_is_not_understood_is_refused_by_name(write, text, named):
    """A check that is left out would look like one that passed."""
    with pytest.raises(InvalidInput) as raised:
        goss(write(text))
    assert named in str(raised.value)


def test_files_that_are_no_goss_files(write, tmp_path):
    """Missing, too large, no text, or no JSON."""
    with pytest.raises(MissingFiles):
        goss(tmp_path / "nothing.yaml")
    with pytest.raises(InvalidInput, match="divide"):
        goss(write("#" * (2 << 20)))
    path = write("")
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInput, match="UTF-8"):
        goss(path)
    with pytest.raises(InvalidInput, match="cannot be read"):
        goss(write("{", "goss.json"))
    with pytest.raises(InvalidInput, match="hand in"):
        goss_program(write("#" * (110 << 10)))


@pytest.mark.parametrize("good", [OLD, NEW], ids=["0.3", "0.4"])
def test_what_the_images_own_goss_says(write, tmp_path, good):
    """All passed; one failed; one skipped; each with goss's own words."""
    path = write(YAML)
    runner = Says(said(good, good))
    found = judged(path, runner, tmp_path)
    assert (found.status, found.verdict.evidence) == (PASSED, "2 of 2 passed")
    assert runner.asked[0][-1] == YAML
    line = "File: /etc/passwd: exists: doesn't match"
    bad = good | {"result": 1, "successful": False, "summary-line": line}
    found = judged(path, Says(said(good, bad), status=1), tmp_path / "2")
    assert found.status is FAILED
    assert [(f.rule, f.path, f.detail) for f in found.findings] == [
        ("exists", "File: /etc/passwd", line)
    ]
    skipped = good | {"result": 2}
    assert judged(path, Says(said(good, skipped)), tmp_path / "3").status is UNDECIDED
    error = good | {"result": 1}
    assert judged(path, Says(said(error)), tmp_path / "4").status is FAILED


@pytest.mark.parametrize(
    "runner",
    [
        Says(b"", stderr=b"goss: not found", status=127),
        Says(said()),
        Says(b"panic: runtime error", status=2),
        Says(b'{"results": [{}]}'),
        Says(b'{"results": 3}'),
        Says(b"[]"),
        Fails(TimeoutError()),
        Fails(OSError("no")),
        None,
    ],
)
def test_a_goss_that_says_nothing_decides_nothing(write, tmp_path, runner):
    """It is not there, does not end, or is not understood."""
    assert judged(write(YAML), runner, tmp_path).status is UNDECIDED


def test_the_images_own_goss_can_be_asked_in_an_instance(write):
    """Its version is recorded, where it says it."""
    check = goss_program(write(YAML), booted=True)
    up = Booted(address="127.0.0.1", run=Says(said(NEW)))
    assert check.needs == (Place.BOOTED,)
    assert check.judge(up).status is PASSED
    assert check.digest != goss_program(write(YAML)).digest
    assert check.digest != goss_program(write(YAML + "\n"), booted=True).digest
