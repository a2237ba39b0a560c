"""The file of a signing key: where it is, how it comes to be, and when it is refused."""

import errno
import os
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from roots import as_nobody

from immutable.errors import InvalidInput, NotEnough, PermissionDenied
from immutable.images.signing import keyfile, local_signer

NOBODY = 65534
PEM = serialization.Encoding.PEM
PKCS8 = serialization.PrivateFormat.PKCS8


def names(directory: Path) -> list[str]:
    """Return what is in a directory."""
    return sorted(path.name for path in directory.iterdir())


def test_key_is_made_once(tmp_path: Path) -> None:
    """Only its owner can read it, and the second call takes the same one."""
    path = tmp_path / "state" / "keys" / "signing.pem"
    first = local_signer(path)
    assert local_signer(path).policy == first.policy
    assert stat.S_IMODE(path.lstat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.lstat().st_mode) == 0o700
    assert names(path.parent) == ["signing.pem"]


def test_keys_differ(tmp_path: Path) -> None:
    """Another file, another key."""
    made = {local_signer(tmp_path / name).policy for name in "ab"}
    assert len(made) == 2


def test_all_that_come_first_get_one_key(tmp_path: Path) -> None:
    """Whoever makes it, nobody signs with a key that is gone afterwards."""
    start = threading.Barrier(8)

    def come(_: int) -> str:
        start.wait()
        return local_signer(tmp_path / "key").policy.identity

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(come, range(8)))) == 1
    assert names(tmp_path) == ["key"]


def test_key_of_other_tools_is_taken(tmp_path: Path) -> None:
    """PKCS #8 in PEM, as `openssl genpkey -algorithm ed25519` writes it."""
    key = ed25519.Ed25519PrivateKey.generate()
    path = tmp_path / "key"
    path.write_bytes(key.private_bytes(PEM, PKCS8, serialization.NoEncryption()))
    path.chmod(0o400)
    public = key.public_key().public_bytes_raw().hex()
    assert local_signer(path).policy.identity == f"ed25519:{public}"


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602])
def test_key_that_others_can_use_is_refused(tmp_path: Path, mode: int) -> None:
    """Whoever has read it can sign as we do."""
    path = tmp_path / "key"
    local_signer(path)
    path.chmod(mode)
    with pytest.raises(InvalidInput, match="others can read it"):
        local_signer(path)


def test_link_is_refused(tmp_path: Path) -> None:
    """Who can place a link would choose the key."""
    local_signer(tmp_path / "key")
    (tmp_path / "link").symlink_to("key")
    (tmp_path / "nowhere").symlink_to("gone")
    for name in ("link", "nowhere"):
        with pytest.raises(InvalidInput, match="name the file that it points to"):
            local_signer(tmp_path / name)
    assert not (tmp_path / "gone").exists()


def test_pipe_is_refused(tmp_path: Path) -> None:
    """Nothing is waited for."""
    os.mkfifo(tmp_path / "key", 0o600)
    with pytest.raises(InvalidInput, match="no regular file"):
        local_signer(tmp_path / "key")


def test_directory_that_everybody_may_write_is_refused(tmp_path: Path) -> None:
    """They could put another key there."""
    local_signer(tmp_path / "keys" / "key")
    (tmp_path / "keys").chmod(0o777)
    with pytest.raises(InvalidInput, match="chmod o-w"):
        local_signer(tmp_path / "keys" / "key")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_key_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """They know it."""
    path = tmp_path / "key"
    local_signer(path)
    os.chown(path, NOBODY, NOBODY)
    with pytest.raises(InvalidInput, match="somebody else's"):
        local_signer(path)


def _other_kind() -> bytes:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return key.private_bytes(PEM, PKCS8, serialization.NoEncryption())


def _locked() -> bytes:
    locked = serialization.BestAvailableEncryption(b"secret")
    return ed25519.Ed25519PrivateKey.generate().private_bytes(PEM, PKCS8, locked)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "no key without a password"),
        (b"\xff" * 100, "no key without a password"),
        (_locked(), "no key without a password"),
        (_other_kind(), "no ed25519 key"),
    ],
    ids=["empty", "something else", "with a password", "of another kind"],
)
def test_what_is_no_key_of_ours_is_kept_and_refused(
    tmp_path: Path, content: bytes, words: str
) -> None:
    """It is not overwritten: signatures may depend on it."""
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(InvalidInput, match=words):
        local_signer(path)
    assert path.read_bytes() == content


def test_directory_that_cannot_be_written() -> None:
    """The operating system's refusal is told, with what to do."""
    with as_nobody() as own:
        own.chmod(0o500)
        with pytest.raises(PermissionDenied, match="give this user access"):
            local_signer(own / "key")
        own.chmod(0o700)


def test_full_disk_is_told_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing is left behind."""

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(NotEnough, match="free some space"):
        local_signer(tmp_path / "key")
    assert names(tmp_path) == []


def test_default_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's is with the system's state; a user's by the XDG specification."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert keyfile.default_key_path().parent == Path("/var/lib/immutable/keys")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/me")
    for given, expected in [
        ("/srv/state", "/srv/state"),
        ("relative", "/home/me/.local/state"),
        ("", "/home/me/.local/state"),
    ]:
        monkeypatch.setenv("XDG_STATE_HOME", given)
        path = Path(expected, "immutable/keys/signing.pem")
        assert keyfile.default_key_path() == path


def test_default_key_is_used(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a path, the user's own is made and used."""
    path = tmp_path / "own" / "key"
    monkeypatch.setattr(keyfile, "default_key_path", lambda: path)
    assert local_signer().policy == local_signer(path).policy
