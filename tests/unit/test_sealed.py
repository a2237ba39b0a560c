"""Whether an image is sealed: every rule on a planted case, and nothing on what is sealed."""

import bz2
import gzip
import hashlib
import json
import lzma
import os
import stat

import pytest
from images import make_root, needs_root, put

from immutable.errors import InvalidInput
from immutable.images.proof import Booted, Root, sealed
from immutable.images.proof.sealing import RULES, reading
from immutable.judging import VerdictStatus

PASSED, FAILED, UNDECIDED = VerdictStatus
PEM = (
    "-----BEGIN OPENSSH PRIVATE KEY-----\n"
    "b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQAAAAAAAAABAAAAMwAAAAtzc2gtZW\n"
    "-----END OPENSSH PRIVATE KEY-----\n"
)
OLD_PEM = (
    "-----BEGIN RSA PRIVATE KEY-----\r\nProc-Type: 4,ENCRYPTED\r\n"
    "DEK-Info: AES-128-CBC,0123456789ABCDEF\r\n\r\n"
    "MIIEowIBAAKCAQEAx4Pz6UeGQ8m0b3Zk0Tq1w6n5n1uX4b1hTn4oWm2k\r\n"
)
RANDOM = "kJ8sV2qLx9TfBw4ZrN7yHc3M"
GITHUB = "ghp_" + "a1B2" * 9
JWT = ".".join(("eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiIxMjM0NTY3ODkwIn0", "s" * 43))


@pytest.fixture
def root(tmp_path):
    """Return the directory of a small image that is sealed."""
    return make_root(tmp_path / "root")


def found_in(root, allow=()):
    """Return the judgement's status, and rule and path of each finding."""
    judgement = sealed(allow=allow).judge(Root(path=root))
    return judgement.status, [(f.rule, f.path) for f in judgement.findings]


def test_what_is_sealed_passes(root):
    """Nothing is found, and how much was looked at is said."""
    judgement = sealed().judge(Root(path=root))
    assert judgement.status is PASSED
    assert judgement.findings == ()
    assert "4 files" in judgement.verdict.evidence


CASES = [
    ("authorized-keys", "root/.ssh/authorized_keys", "ssh-ed25519 AAAA me\n"),
    ("authorized-keys", "home/app/.ssh/authorized_keys2", "ssh-rsa AAAA me\n"),
    ("host-key", "etc/ssh/ssh_host_ed25519_key.pub", "ssh-ed25519 AAAA\n"),
    ("host-key", "etc/dropbear/dropbear_rsa_host_key", "key"),
    ("private-key", "root/.ssh/id_ed25519", PEM),
    ("private-key", "srv/old.txt", OLD_PEM),
    (
        "private-key",
        "srv/account.json",
        json.dumps({"private_key": PEM}),
    ),
    ("private-key", "srv/store.p12", "store"),
    ("secret", "srv/putty", "PuTTY-User-Key-File-3: ssh-ed25519\n"),
    ("machine-id", "etc/machine-id", "0123456789abcdef0123456789abcdef\n"),
    ("machine-id", "var/lib/dbus/machine-id", "0123456789abcdef0123456789abcdef\n"),
    ("random-seed", "var/lib/systemd/random-seed", b"\1\2\3"),
    ("instance", "var/lib/cloud/instance/id", "i-1"),
    ("instance", "var/lib/dhcp/dhclient.leases", "lease"),
    ("log", "var/log/dpkg.log", "installed\n"),
    ("log", "var/log/journal/0123/system.journal", "LPKSHHRH"),
    ("cache", "var/cache/apt/pkgcache.bin", "cache"),
    ("cache", "var/cache/apt/archives/bash.deb", "deb"),
    ("cache", "var/lib/apt/lists/mirror.example_InRelease", "list"),
    ("cache", "root/.cache/pip/http/a", "wheel"),
    ("cache", "home/app/.npm/_cacache/index", "npm"),
    ("temporary", "tmp/left", "left"),
    ("temporary", "var/tmp/left", ""),
    ("history", "root/.bash_history", "mysql -p\n"),
    ("history", "home/app/.python_history", "1+1\n"),
    ("credentials", "root/.netrc", "machine a login b\n"),
    ("credentials", "root/.pgpass", "a:5432:*:b:c\n"),
    ("credentials", "root/.aws/credentials", "[default]\n"),
    ("credentials", "home/app/.docker/config.json", "{}"),
    ("policy-rc.d", "usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n"),
    ("resolv.conf", "etc/resolv.conf", "nameserver 192.0.2.1\n"),
    ("secret", "srv/a.py", f"TOKEN = '{GITHUB}'\n"),
    ("secret", "srv/aws", "id AKIAQ3EGUT5Z2OJ4XYZA end\n"),
    (
        "secret",
        "srv/b.py",
        "aws_secret_access_key = " + "wJalrXUtnFEMI/K7MDENG" + "x" * 19,
    ),
    ("secret", "srv/jwt", JWT),
    ("secret", "srv/gitlab", "glpat-abcdefghij0123456789\n"),
    ("secret", "srv/slack", "xoxb-123456789012-123456789012-abcdefGHIJKL123456789012"),
    ("secret", "srv/stripe", "sk_live_" + "a1B2c3" * 4),
    ("secret", "srv/google", "AIza" + "a1B2c" * 7),
    ("secret", "srv/npm", "npm_" + "a1B2c3" * 6),
    ("secret", "srv/pypi", "pypi-AgEIcHlwaS5vcmc" + "a1B2c3" * 10),
    ("secret", "srv/vault", "hvs." + "a1B2c3" * 5),
    ("secret", "srv/sendgrid", f"SG.{'a' * 22}.{'b' * 43}"),
    ("secret", "srv/do", "dop_v1_" + "0a" * 32),
    ("secret", "srv/model", "sk-ant-" + "a1B2c3" * 8),
    ("secret", "srv/azure", f"AccountKey={'a' * 86}=="),
    ("entropy", "etc/app.conf", "db_password = hunter2hunter3\n"),
    ("entropy", "srv/app/.env", f"export API_KEY='{RANDOM}'\n"),
    ("entropy", "bootstrap/.env", f"export API_KEY='{RANDOM}'\n"),
    ("entropy", "srv/app/settings.json", json.dumps({"clientSecret": RANDOM})),
    ("entropy", "srv/app/settings.yaml", f"other: {RANDOM}xyz\n"),
    ("entropy", "usr/lib/immutable/services/web", f"export TOKEN={RANDOM}\nexec x\n"),
    ("entropy", "etc/shop.conf", "url=postgres://shop:hunter2hunter@db/shop\n"),
    ("entropy", "etc/app/token", f"{RANDOM}\n"),
]


@pytest.mark.parametrize(("rule", "path", "content"), CASES, ids=lambda v: str(v)[:40])
def test_each_rule_finds_its_case(root, rule, path, content):
    """And finds nothing else; allowing it there lets the image pass."""
    put(root, path, content)
    assert found_in(root) == (FAILED, [(rule, f"/{path}")])
    assert found_in(root, allow=[f"{rule}:/{path}"]) == (PASSED, [])
    assert found_in(root, allow=[f"{rule}:/elsewhere/*"])[0] is FAILED


def test_a_private_host_key_breaks_two_rules(root):
    """It is a key of the host's, and a private one."""
    put(root, "etc/ssh/ssh_host_rsa_key", PEM)
    rules = [rule for rule, _ in found_in(root)[1]]
    assert rules == ["host-key", "private-key"]


def test_an_ssh_server_is_there_only_if_asked_for(root):
    """The program decides, wherever the distribution puts it."""
    put(root, "usr/sbin/sshd", "ELF", mode=0o755)
    assert found_in(root) == (FAILED, [("ssh", "/usr/sbin/sshd")])
    assert found_in(root, allow=("ssh",)) == (PASSED, [])
    put(root, "etc/ssh/ssh_host_rsa_key.pub", "key")
    assert found_in(root, allow=("ssh",))[0] is FAILED


def test_what_everybody_may_write(root):
    """Files, and directories without a sticky bit."""
    put(root, "srv/open", mode=0o666)
    (root / "srv/all").mkdir()
    (root / "srv/all").chmod(0o777)
    (root / "srv/sticky").mkdir()
    (root / "srv/sticky").chmod(0o1777)
    (root / "srv/link").symlink_to("open")
    wanted = [("world-writable", "/srv/all"), ("world-writable", "/srv/open")]
    assert found_in(root) == (FAILED, wanted)


def test_programs_that_give_rights(root):
    """Only those of base packages are expected, in either place of a merged /usr."""
    for name in ("usr/bin/su", "sbin/unix_chkpwd", "usr/bin/sudo"):
        put(root, name, "ELF", mode=0o4755)
    if os.geteuid() == 0:
        assert found_in(root) == (FAILED, [("set-uid", "/usr/bin/sudo")])
    assert found_in(root, allow=["set-uid"])[0] is PASSED
    assert ("set-uid", "/usr/bin/sudo") in found_in(root)[1]


@needs_root
def test_rights_of_others_and_capabilities(root):
    """A known program of somebody else's is refused, as is one with capabilities."""
    os.chown(put(root, "usr/bin/su", "ELF"), 1000, 0)
    # giving a file away takes its rights
    (root / "usr/bin/su").chmod(stat.S_ISUID | 0o755)
    capable = put(root, "usr/bin/tool", "ELF", mode=0o755)
    # version 2, effective, with cap_net_raw permitted
    value = bytes.fromhex("0100000200200000000000000000000000000000")
    os.setxattr(capable, "security.capability", value)
    found = [("set-uid", "/usr/bin/su"), ("set-uid", "/usr/bin/tool")]
    assert found_in(root) == (FAILED, found)


@needs_root
def test_devices_outside_dev(root):
    """Those below /dev are expected."""
    (root / "dev").mkdir()
    os.mknod(root / "dev/null", 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    os.mknod(root / "srv", 0o600 | stat.S_IFBLK, os.makedev(8, 0))
    assert found_in(root) == (FAILED, [("device", "/srv")])


@pytest.mark.parametrize("name", ["etc/shadow-", "etc/gshadow-", "etc/passwd-"])
def test_passwords_in_lists_as_they_were(root, name):
    """The tools that change a list keep what was in it before."""
    put(root, name, "root:$y$j9T$abc$def:19000:0:99999:7:::\napp::1::::::\n")
    assert found_in(root) == (FAILED, [("password", f"/{name}")])


@pytest.mark.parametrize("password", ["$y$j9T$abc$def", "abJnggxhB/yWI", ""])
def test_passwords_of_users(root, password):
    """A hash and none at all are refused; a locked account is not."""
    put(root, "etc/shadow", f"root:{password}:19000:0:99999:7:::\napp:!:1::::::\n")
    assert found_in(root) == (FAILED, [("password", "/etc/shadow")])
    judgement = sealed().judge(Root(path=root))
    assert not password or password not in repr(judgement)


def test_what_is_no_finding(root):
    """Examples, digests, references, and what a sealed image may have."""
    put(root, "etc/machine-id", "uninitialized\n")
    put(root, "var/log/dpkg.log", "")
    put(root, "etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
    put(root, "var/lib/apt/lists/lock", "1")
    put(root, "root/.bash_history", "")
    (root / "etc/resolv.conf").symlink_to("/run/immutable/resolv.conf")
    put(root, "etc/app.conf", "\n".join((
        f"checksum = {hashlib.sha256(b'').hexdigest()}",
        "id = 123e4567-e89b-12d3-a456-426614174000",
        "password_file = /run/secrets/db-password-0",
        "password = ${DB_PASSWORD_123456}",
        "token = file:///run/secrets/token0123",
        "password = ",
        "password: short",
        "proxy = http://user:$PASSWORD@proxy:3128/",
        "proxy = http://user:password@proxy:3128/",
        "listen = http://0.0.0.0:8080/a@b",
        "path = /usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.30",
        "tokenizer = aVeryLongNameWithoutAnyMeaning",
    )))  # fmt: skip
    put(root, "srv/manual.rst", "such as AKIAIOSFODNN7EXAMPLE\n")
    put(
        root, "usr/bin/reader", b"\0-----BEGIN RSA PRIVATE KEY-----\n\0%s\0", mode=0o755
    )
    assert found_in(root) == (PASSED, [])


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_files_are_searched(root, pack):
    """Whatever they are called."""
    put(root, "srv/dump", pack(b"x" * 100_000 + b"\n" + GITHUB.encode()))
    assert found_in(root) == (FAILED, [("secret", "/srv/dump")])


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_all_that_was_compressed_one_after_the_other_is_searched(root, pack):
    """Such files are what several processors make; xz may pad them."""
    put(root, "srv/dump", pack(b"x\n" * 2_000_000) + pack(GITHUB.encode()))
    assert found_in(root) == (FAILED, [("secret", "/srv/dump")])
    put(root, "srv/dump", pack(b"x\n" * 1000) + bytes(4) + pack(GITHUB.encode()))
    assert found_in(root) == (FAILED, [("secret", "/srv/dump")])
    put(root, "srv/dump", pack(b"x" * 1000) + pack(b"y" * 1000)[:-1])
    judgement = sealed().judge(Root(path=root))
    assert "1 archives not unpacked" in judgement.verdict.evidence


@pytest.mark.parametrize("start", [b"\x1f\x8b", b"BZh9", b"\xfd7zXZ\0"])
def test_what_cannot_be_unpacked_is_counted(root, start):
    """It is searched as it stands, and said not to be unpacked."""
    put(root, "srv/broken", start + b"nonsense " + GITHUB.encode())
    assert found_in(root) == (FAILED, [("secret", "/srv/broken")])
    put(root, "srv/broken", start + b"nonsense")
    put(root, "srv/wheel.whl", b"PK\x03\x04")
    judgement = sealed().judge(Root(path=root))
    assert judgement.status is PASSED
    assert "2 archives not unpacked" in judgement.verdict.evidence


def test_what_unpacks_to_too_much_is_undecided(root, monkeypatch):
    """The limit is said; nothing is skipped in silence."""
    monkeypatch.setattr(reading, "UNPACKED_LIMIT_BYTES", 1000)
    put(root, "srv/bomb.gz", gzip.compress(bytes(100_000)))
    assert found_in(root) == (UNDECIDED, [("unread", "/srv/bomb.gz")])
    assert found_in(root, allow=["unread:*.gz"])[0] is PASSED


def test_what_cannot_be_read_is_undecided(root, monkeypatch):
    """A file that refuses leaves the check undecided, unless something else is wrong."""

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    put(root, "srv/closed")
    monkeypatch.setattr(reading, "opened", refuse)
    status, findings = found_in(root)
    assert status is UNDECIDED
    assert ("unread", "/srv/closed") in findings
    put(root, "tmp/left")
    assert found_in(root)[0] is FAILED


def test_files_as_their_packages_brought_them(root):
    """They are everybody's: an example of a key is none; changed, it is one again."""
    put(root, "usr/share/doc/example.pem", PEM)
    put(root, "etc/example.conf", f"token = {RANDOM}\n")
    assert len(found_in(root)[1]) == 2
    sums = {
        name: hashlib.md5((root / name).read_bytes(), usedforsecurity=False).hexdigest()
        for name in ("usr/share/doc/example.pem", "etc/example.conf")
    }
    pem = f"{sums['usr/share/doc/example.pem']}  usr/share/doc/example.pem\n"
    put(root, "var/lib/dpkg/info/example.md5sums", pem)
    with (root / "var/lib/dpkg/status").open("a") as status:
        status.write(
            "\nPackage: example\nStatus: install ok installed\nVersion: 1\n"
            f"Conffiles:\n /etc/example.conf {sums['etc/example.conf']}\n"
        )
    judgement = sealed().judge(Root(path=root))
    assert judgement.status is PASSED
    assert "2 as their packages brought them" in judgement.verdict.evidence
    put(root, "etc/example.conf", f"token = {RANDOM}9\n")
    assert found_in(root) == (FAILED, [("entropy", "/etc/example.conf")])


def test_secrets_in_names_are_not_told(root):
    """A path can hold one, too."""
    put(root, f"tmp/{GITHUB}")
    judgement = sealed().judge(Root(path=root))
    assert judgement.status is FAILED
    assert GITHUB not in repr(judgement)
    assert judgement.findings[0].path.startswith("/tmp/")  # noqa: S108 - the image's own


def test_many_findings_are_counted(root):
    """What is listed is bounded; how many there are is said."""
    for number in range(600):
        put(root, f"tmp/{number:03}")
    judgement = sealed().judge(Root(path=root))
    assert len(judgement.findings) == 500
    assert "600 in all" in judgement.verdict.evidence


def test_only_a_root_can_be_searched():
    """What runs cannot be asked what it hides."""
    assert sealed().judge(Booted(address="127.0.0.1")).status is UNDECIDED


@pytest.mark.parametrize("allow", [["shh"], ["shh:/etc/*"], "ssh", [""]])
def test_unknown_rules_are_refused(allow):
    """They would allow nothing, and nobody would notice."""
    with pytest.raises(InvalidInput):
        sealed(allow=allow)


def test_what_is_allowed_is_part_of_the_check():
    """Its name and its digest say so."""
    assert sealed(allow=["ssh"]).digest != sealed().digest
    assert sealed(allow=["ssh", "log"]) == sealed(allow=["log", "ssh", "ssh"])
    assert sealed(allow=["ssh"]).name == "sealed(ssh)"


def test_each_rule_has_a_case():
    """No rule is without a test that sees it fire."""
    elsewhere = {"device", "password", "set-uid", "ssh", "unread", "world-writable"}
    assert {rule for rule, _, _ in CASES} | elsewhere == set(RULES)
