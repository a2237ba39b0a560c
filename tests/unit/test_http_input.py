import functools
from datetime import timedelta

import pytest

from immutable.errors import InvalidInput
from immutable.validators import http, tcp


@pytest.mark.parametrize(
    "path",
    [
        "",
        "version",
        "http://example.org/",
        "/a b",
        "/a\r\nX: y",
        "/a\n",
        "/\x00",
        "/ü",
        "/a#b",
        "/" + "a" * 3000,
        None,
        b"/",
    ],
)
def test_http_refuses_path(path: object) -> None:
    """A path that could change the request, or is none, is refused at once."""
    with pytest.raises(InvalidInput, match="no HTTP path"):
        http(path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "status", [0, 99, 600, True, (), range(0), (200, "204"), "200"]
)
def test_http_refuses_status(status: object) -> None:
    """A status that no server answers with is refused."""
    with pytest.raises(InvalidInput, match="status"):
        http("/", status=status)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "headers",
    [
        {"X": "a\r\nY: b"},
        {"X": "a\n"},
        {"X\r\nY": "a"},
        {"X ": "a"},
        {"": "a"},
        {"X": " a"},
        {"X": "ü"},
        {"X": "a" * 3000},
        {"Content-Length": "5"},
        {"transfer-encoding": "chunked"},
    ],
)
def test_http_refuses_header(headers: dict[str, str]) -> None:
    """A header that could become two, or frames the request, is refused."""
    with pytest.raises(InvalidInput, match="cannot be sent"):
        http("/", headers=headers)


@pytest.mark.parametrize("timeout", ["0s", "5", "-1s", 5])
def test_refuses_timeout(timeout: object) -> None:
    """Without a positive timeout there is no validator."""
    for make in (functools.partial(http, "/"), tcp):
        with pytest.raises(InvalidInput):
            make(timeout=timeout)  # type: ignore[arg-type]


def test_http_refuses_empty_text() -> None:
    """Every body contains nothing, so asking for that is a mistake."""
    with pytest.raises(InvalidInput, match="empty"):
        http("/", contains="")


def test_http_keeps_secrets_to_itself() -> None:
    """Headers are not in the repr, nor in a refusal; queries are not in the name."""
    assert "hunter2" not in repr(http("/", headers={"Authorization": "hunter2"}))
    assert http("/login?key=hunter2").name == "http(/login?…)"
    with pytest.raises(InvalidInput) as caught:
        http("/", headers={"Authorization": "hunter2\n"})
    assert "hunter2" not in str(caught.value)


def test_validators_are_values() -> None:
    """The same arguments make equal, hashable validators with a stable name."""
    assert http("/a", status=200) == http("/a")
    assert hash(tcp()) == hash(tcp(timeout=timedelta(seconds=5)))
    assert (http("/a").name, tcp().name) == ("http(/a)", "tcp()")
