"""Logs of instances: bounded, harmless, there when the instance is gone."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutable.errors import InvalidInput
from immutable.model import FleetName
from immutable.protocols import Logs
from immutable_libvirt.logs import LibvirtLogs, harmless

FLEET = FleetName("shop-v1")


def _write(pool: Path, instance: str, name: str, content: bytes) -> None:
    directory = pool / "logs" / FLEET / instance
    directory.mkdir(parents=True, exist_ok=True)
    (directory / name).write_bytes(content)


def test_logs_come_in_order_of_instance(tmp_path: Path) -> None:
    """Both kinds of each instance, whatever the order on disk."""
    _write(tmp_path, "shop-v1-b", "console.log", b"boot b\n")
    _write(tmp_path, "shop-v1-a", "console.log", b"boot a\n")
    _write(tmp_path, "shop-v1-a", "journal.log", b"web: up\n")
    logs: Logs = LibvirtLogs(pool=tmp_path)
    found = logs.read(FLEET, tail_bytes=100)
    assert [log.instance for log in found] == ["shop-v1-a", "shop-v1-b"]
    assert found[0].console == "boot a\n"
    assert found[0].journal == "web: up\n"
    assert found[1].journal == ""


def test_only_the_end_is_read(tmp_path: Path) -> None:
    """However much an instance has said."""
    _write(tmp_path, "a", "console.log", b"x" * 1000 + b"end")
    found = LibvirtLogs(pool=tmp_path).read(FLEET, tail_bytes=5)
    assert found[0].console == "xxend"


def test_the_end_reaches_into_the_files_before(tmp_path: Path) -> None:
    """A log that was just split still has an end of full length."""
    _write(tmp_path, "a", "console.log", b"3")
    _write(tmp_path, "a", "console.log.0", b"2222")
    _write(tmp_path, "a", "console.log.1", b"1111")
    logs = LibvirtLogs(pool=tmp_path)
    assert logs.read(FLEET, tail_bytes=3)[0].console == "223"
    assert logs.read(FLEET, tail_bytes=7)[0].console == "1122223"
    assert logs.read(FLEET, tail_bytes=99)[0].console == "111122223"


def test_a_fleet_without_logs_has_none(tmp_path: Path) -> None:
    """Nothing was kept, which is no error."""
    assert LibvirtLogs(pool=tmp_path).read(FLEET, tail_bytes=10) == ()


@pytest.mark.parametrize("fleet", ["../images", "a/b", ""])
def test_names_that_leave_the_pool_are_refused(tmp_path: Path, fleet: str) -> None:
    """A fleet's name never becomes a path elsewhere."""
    with pytest.raises(InvalidInput):
        LibvirtLogs(pool=tmp_path).read(FleetName(fleet), tail_bytes=10)


def test_a_negative_length_is_refused(tmp_path: Path) -> None:
    """It has no meaning."""
    with pytest.raises(InvalidInput):
        LibvirtLogs(pool=tmp_path).read(FLEET, tail_bytes=-1)


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"plain\r\nlines\n", "plain\nlines\n"),
        (b"tab\there", "tab\there"),
        (b"\x1b[2Jgone", "\\x1b[2Jgone"),
        (b"good\rbad", "good\\rbad"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        ("ümläut".encode(), "ümläut"),
        ("\u202eright to left".encode(), "\\u202eright to left"),
        ("\x9b31m".encode(), "\\x9b31m"),
    ],
)
def test_what_a_guest_says_is_harmless(content: bytes, text: str) -> None:
    """Nothing but newline and tab reaches a terminal."""
    assert harmless(content) == text


@given(st.binary(max_size=200))
def test_any_bytes_become_printable_text(content: bytes) -> None:
    """Whatever the guest sends."""
    for character in harmless(content):
        assert character in "\n\t" or ord(character) >= 0x20
        assert character not in "\x1b\x7f\x9b\u202e"
