"""The URL: what it can say, and what is refused before any effect."""

from pathlib import Path

import pytest

from immutable.errors import InvalidInput, UnknownScheme
from immutable.model import ServiceName
from immutable.registry import open_backend
from immutable.urls import Url
from immutable_process.config import directory_of


def test_the_default_is_the_users_state(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system says that state belongs, or where it usually does."""
    monkeypatch.setenv("XDG_STATE_HOME", "/state")
    assert directory_of(Url.parse("process://")) == Path("/state/immutable/process")
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", "/home/me")
    usual = Path("/home/me/.local/state/immutable/process")
    assert directory_of(Url.parse("process://")) == usual


@pytest.mark.parametrize(
    "url",
    [
        "process://?directory=/x",
        "process://?dir=relative",
        "process://?dir=",
        "process://?dir=/x/../y",
        "process://elsewhere",
        "process:///path",
    ],
)
def test_what_it_cannot_mean_is_refused(url: str) -> None:
    """Nothing that would be ignored or lead elsewhere is accepted."""
    with pytest.raises(InvalidInput):
        open_backend(url)


def test_it_is_found_by_its_scheme(tmp_path: Path) -> None:
    """The entry point leads here, opening touches nothing, and HAProxy is its switch."""
    backend = open_backend(f"process://?dir={tmp_path}/p")
    assert backend.name == "process"
    switch = backend.default_switch(ServiceName("shop"), port=8080)
    assert str(switch) == "haproxy://?listen=127.0.0.1:8080"
    assert not list(tmp_path.iterdir())
    with pytest.raises(UnknownScheme, match="process://"):
        open_backend("processes://")
