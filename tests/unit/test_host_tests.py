"""Tests written for pytest-testinfra, really run by pytest against an image."""

import pytest
from images import Fails, Says, add_busybox, make_root, needs_root

from immutable.errors import InvalidInput, MissingFiles
from immutable.images.proof import Booted, Place, Root, contained, host_tests
from immutable.images.proof.testinfra.channel import OUTPUT_LIMIT_BYTES
from immutable.judging import VerdictStatus

PASSED, FAILED, UNDECIDED = VerdictStatus
GOOD = """
def test_users(host):
    passwd = host.file("/etc/passwd")
    assert passwd.is_file
    assert passwd.mode == 0o644
    assert passwd.contains("^app:")


def test_root(host):
    assert host.check_output("id -u") == "0"
    assert not host.run("touch %s", "/etc/new file").succeeded
    assert host.check_output("cat %s", "/proc/net/dev").count(":") == 1
"""
BAD = '''
import pytest


def test_nothing(host):
    assert host.file("/etc/nothing").exists


@pytest.mark.skip(reason="another day")
def test_another_day(host):
    """Is not run."""


@pytest.mark.xfail
def test_expected(host):
    assert not host.file("/etc/passwd").exists
'''


@pytest.fixture
def write(tmp_path):
    """Return what writes a file of tests."""
    (tmp_path / "given").mkdir()

    def write(text, name="test_image.py"):
        path = tmp_path / "given" / name
        path.write_text(text)
        return path

    return write


@pytest.fixture
def root(tmp_path):
    """Return a root in which commands can be run."""
    made = add_busybox(make_root(tmp_path / "root"))
    return Root(path=made, run=contained(made))


@needs_root
def test_tests_that_pass(write, root):
    """All are run inside, and the tools are recorded."""
    found = host_tests(write(GOOD)).judge(root)
    assert (found.status, found.verdict.evidence) == (PASSED, "2 of 2 passed")
    assert {name for name, _ in found.tools} == {"pytest", "pytest-testinfra"}
    assert found.findings == ()


@needs_root
def test_tests_that_do_not_pass(write, root):
    """One that failed fails; skipped and expected to fail are no pass either."""
    write(GOOD, "test_good.py")
    path = write(BAD)
    found = host_tests(path.parent).judge(root)
    assert (found.status, found.verdict.evidence) == (FAILED, "2 of 5 passed")
    assert [(f.rule, f.path.partition("[")[0]) for f in found.findings] == [
        ("failed", "test_image.py::test_nothing"),
        ("skipped", "test_image.py::test_another_day"),
        ("undecided", "test_image.py::test_expected"),
    ]
    assert "AssertionError" in found.findings[0].detail
    assert "another day" in found.findings[1].detail
    path.write_text(BAD.replace("/etc/nothing", "/etc/passwd"))
    assert host_tests(path).judge(root).status is UNDECIDED


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("", UNDECIDED),
        ("import nowhere", UNDECIDED),
        ("import os\n\ndef test_a():\n    os._exit(0)", UNDECIDED),
        (
            ("import os\n\ndef test_a():\n    pass\n\ndef test_b():\n    os._exit(0)"),
            UNDECIDED,
        ),
        ("import os\n\ndef test_a():\n    os.kill(os.getpid(), 9)", UNDECIDED),
        (
            (
                "import os\n\ndef test_a():\n"
                "    os.write(int(os.environ['IMMUTABLE_PROOF_CHANNEL']), b'[]\\n')"
            ),
            UNDECIDED,
        ),
        ("import pytest\npytest.skip('all', allow_module_level=True)", UNDECIDED),
        (
            (
                "import pytest\n\n@pytest.fixture\ndef bad():\n    1 / 0\n\n"
                "def test_a(bad):\n    pass"
            ),
            FAILED,
        ),
        ("def test_a():\n    pass", PASSED),
    ],
)
def test_what_is_no_test_is_no_pass(write, tmp_path, text, status):
    """Nothing to run, nothing that can be run, or a run that ends early."""
    there = Root(path=tmp_path, run=Says())
    assert host_tests(write(text)).judge(there).status is status


def test_commands_that_cannot_be_run_decide_nothing(write, tmp_path):
    """The test fails for our reason, not for the image's."""
    path = write("def test_a(host):\n    assert host.run('true').rc == 0\n")
    found = host_tests(path).judge(Root(path=tmp_path, run=Fails(OSError("broken"))))
    assert found.status is UNDECIDED
    assert "broken" in found.findings[0].detail
    assert host_tests(path).judge(Root(path=tmp_path)).status is UNDECIDED
    caught = "def test_a(host):\n    try:\n        host.run('true')\n"
    path.write_text(f"{caught}    except BaseException:\n        pass\n")
    found = host_tests(path).judge(Root(path=tmp_path, run=Fails(OSError("broken"))))
    assert found.status is UNDECIDED


def test_commands_that_say_too_much_decide_nothing(write, tmp_path):
    """What they print is not cut: a test could not know."""
    path = write("def test_a(host):\n    assert host.run('yes').rc == 0\n")
    there = Root(path=tmp_path, run=Says(bytes(OUTPUT_LIMIT_BYTES + 1)))
    assert host_tests(path).judge(there).status is UNDECIDED


def test_tests_that_hang_are_ended(write, tmp_path):
    """With the processes that they began."""
    path = write("import time\n\ndef test_a():\n    time.sleep(600)\n")
    found = host_tests(path, timeout="3s").judge(Root(path=tmp_path, run=Says()))
    assert found.status is UNDECIDED
    assert found.verdict.evidence == "not done within 3s"


def test_a_booted_instance_can_be_asked(write):
    """Where commands can be run in it."""
    path = write("def test_a(host):\n    assert host.check_output('hostname') == 'web'")
    check = host_tests(path, booted=True)
    assert check.needs == (Place.BOOTED,)
    runner = Says(b"web\n")
    assert check.judge(Booted(address="127.0.0.1", run=runner)).status is PASSED
    assert runner.asked[-1] == ("/bin/sh", "-c", "hostname")
    assert check.judge(Booted(address="127.0.0.1")).status is UNDECIDED


def test_tests_get_no_secrets_and_no_settings(write, tmp_path, monkeypatch):
    """Neither of this process's environment nor of the directories around them."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("PYTEST_ADDOPTS", "--nonsense")
    write("raise RuntimeError", "conftest.py")
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --nonsense\n")
    path = write(
        "import os\n\ndef test_a():\n    assert 'AWS' not in str(os.environ)\n"
    )
    there = Root(path=tmp_path, run=Says())
    assert host_tests(path).judge(there).status is PASSED
    assert host_tests(path.parent).judge(there).status is UNDECIDED


def test_the_tests_are_part_of_the_check(write):
    """Its digest follows their content, and not the place where they lie."""
    path = write(GOOD)
    before = host_tests(path).digest
    assert host_tests(path, booted=True).digest != before
    assert host_tests(path.parent).digest != before
    path.write_text(GOOD + "\n")
    assert host_tests(path).digest != before


def test_what_are_no_tests_is_refused(tmp_path):
    """When the check is made."""
    with pytest.raises(MissingFiles):
        host_tests(tmp_path / "nothing.py")
    (tmp_path / "tests.txt").write_text("")
    with pytest.raises(InvalidInput):
        host_tests(tmp_path / "tests.txt")
