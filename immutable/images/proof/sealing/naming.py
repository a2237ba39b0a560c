"""What is wrong by its name, its kind or its permissions, without looking inside."""

import os
import re
import stat
from collections.abc import Callable, Iterator

import attrs

from immutable.images.proof.sealing.shipped import merged
from immutable.images.proof.sealing.walking import Seen


@attrs.frozen
class Rule:
    """A name for what is refused, the paths it is about, and what to say of them."""

    name: str
    paths: re.Pattern[str]
    detail: str
    applies: Callable[[Seen], bool] = attrs.field(default=lambda seen: seen.has_content)


def _rule(
    name: str,
    paths: str,
    detail: str,
    applies: Callable[[Seen], bool] = lambda seen: seen.has_content,
) -> Rule:
    return Rule(name, re.compile(paths), detail, applies)


def _is_program(seen: Seen) -> bool:
    return seen.is_file and bool(seen.mode & 0o111)


def _is_there(seen: Seen) -> bool:
    return not stat.S_ISDIR(seen.mode)


_SSH_SERVERS = "sshd|dropbear|dropbearmulti|tinysshd|sshd-session"
_HISTORIES = (
    "bash_history|zsh_history|zhistory|ash_history|sh_history|history|python_history"
    "|node_repl_history|mysql_history|psql_history|sqlite_history|rediscli_history"
    "|lesshst|viminfo|wget-hsts|irb_history|dbshell"
)
_CREDENTIALS = (
    "netrc|pgpass|git-credentials|my\\.cnf|mylogin\\.cnf|pypirc|vault-token|s3cfg|boto"
    "|aws/credentials|docker/config\\.json|dockercfg|kube/config|config/gh/hosts\\.yml"
    "|azure/accessTokens\\.json|azure/msal_token_cache\\.json|cargo/credentials(?:\\.toml)?"
    "|config/gcloud/(?:application_default_credentials\\.json|credentials\\.db)"
    "|terraform\\.d/credentials\\.tfrc\\.json|config/hub|composer/auth\\.json"
)
_CACHES = (
    "/var/cache/(?:apt|apk|dnf|yum|zypp|pacman|pip)/"
    "|/var/lib/apt/lists/|/etc/apk/cache/"
    "|/(?:root|home/[^/]+|var/www|nonexistent)/\\.(?:cache|npm/_cacache|cargo/registry"
    "|gradle/caches|m2/repository|nuget/packages)/"
    "|/(?:root|home/[^/]+)/go/pkg/mod/cache/"
)

RULES_BY_NAME = (
    _rule("authorized-keys", r"/authorized_keys2?$", "lets somebody in over ssh"),
    _rule(
        "host-key",
        r"/(?:ssh_host_[a-z0-9]+_key|dropbear_[a-z0-9]+_host_key)(?:\.pub)?$",
        "every instance would have the same ssh host key",
    ),
    _rule("private-key", r"\.(?:p12|pfx|ppk|kdbx)$", "a store of private keys"),
    _rule(
        "machine-id",
        r"^/(?:etc/machine-id|var/lib/dbus/machine-id|etc/hostid)$",
        "every instance would have the same identity",
        lambda seen: seen.has_content and not _is_uninitialized(seen),
    ),
    _rule(
        "random-seed",
        r"^/var/lib/(?:systemd/(?:random-seed|credential\.secret)|urandom/random-seed)$",
        "every instance would begin with the same randomness",
    ),
    _rule(
        "instance",
        r"^/var/lib/(?:cloud/(?:instances?|data|seed)/|dhcp/|dhcpcd/|systemd/timers/)"
        r"|^/etc/udev/rules\.d/70-persistent-",
        "what one instance was, and no other is",
    ),
    _rule("log", r"^/var/log/", "a log of the build"),
    _rule("cache", rf"^(?:{_CACHES})", "a cache of the build"),
    _rule("temporary", r"^/(?:var/)?tmp/", "left behind by the build", _is_there),
    _rule("history", rf"/\.(?:{_HISTORIES})$", "what somebody typed"),
    _rule("credentials", rf"/\.(?:{_CREDENTIALS})$", "a store of credentials"),
    _rule(
        "ssh",
        rf"/(?:s?bin|libexec|lib/openssh)/(?:{_SSH_SERVERS})$",
        'an ssh server; allow=("ssh",) where it is wanted',
        _is_program,
    ),
    _rule(
        "policy-rc.d",
        r"^/usr/sbin/policy-rc\.d$",
        "no service would be started by its package",
        _is_there,
    ),
    _rule("resolv.conf", r"^/etc/resolv\.conf$", "names the build machine's servers"),
)
# Nothing but a lock and empty directories is left where these were cleaned.
_EMPTY_PLACES = re.compile(r"/(?:lock|partial)$")

SET_UID = frozenset(
    {
        *(
            f"/usr/bin/{name}"
            for name in ("chage", "chfn", "chsh", "crontab", "expiry")
        ),
        *(
            f"/usr/bin/{name}"
            for name in ("gpasswd", "mount", "newgrp", "passwd", "su")
        ),
        *(f"/usr/bin/{name}" for name in ("umount", "wall", "write", "write.ul")),
        *("/usr/sbin/unix_chkpwd", "/usr/sbin/pam_extrausers_chkpwd"),
        "/usr/lib/dbus-1.0/dbus-daemon-launch-helper",
    }
)
"""What Debian's base packages install so; all else has to be allowed by its path."""
CAPABLE = frozenset({"/usr/bin/ping"})
"""What Debian's base packages give capabilities to."""
_CAPABILITY = "security.capability"


def wrong_by_name(seen: Seen) -> Iterator[tuple[str, str]]:
    """Yield the rules that refuse this path as it is, each with what to say."""
    for rule in RULES_BY_NAME:
        if rule.paths.search(seen.name) and rule.applies(seen):
            if rule.name == "cache" and _EMPTY_PLACES.search(seen.name):
                continue
            yield rule.name, rule.detail


def wrong_by_mode(seen: Seen) -> Iterator[tuple[str, str]]:
    """Yield what its permissions or its kind give to those who should not have it."""
    kind, mode = stat.S_IFMT(seen.mode), stat.S_IMODE(seen.mode)
    if kind == stat.S_IFREG:
        yield from _wrong_program(seen, mode)
        if mode & 0o002:
            yield "world-writable", f"a file of mode {mode:04o}"
    elif kind == stat.S_IFDIR and mode & 0o002 and not mode & stat.S_ISVTX:
        yield "world-writable", f"a directory of mode {mode:04o}, without sticky bit"
    elif kind in {stat.S_IFCHR, stat.S_IFBLK} and not seen.name.startswith("/dev/"):
        yield "device", "a device outside /dev"


def _wrong_program(seen: Seen, mode: int) -> Iterator[tuple[str, str]]:
    name = merged(seen.name)
    if mode & (stat.S_ISUID | stat.S_ISGID) and name not in SET_UID:
        yield "set-uid", f"mode {mode:04o}, and in no base package"
    elif mode & stat.S_ISUID and seen.status.st_uid != 0:
        yield "set-uid", f"mode {mode:04o}, of user {seen.status.st_uid}"
    if _has_capability(seen) and name not in CAPABLE:
        yield "set-uid", "has capabilities of its own"


def _has_capability(seen: Seen) -> bool:
    try:
        return _CAPABILITY in os.listxattr(seen.path, follow_symlinks=False)
    except OSError:
        return False


def _is_uninitialized(seen: Seen) -> bool:
    # What systemd wants there in an image: it makes an identity at the first boot.
    word = b"uninitialized\n"
    return (
        seen.status.st_size <= len(word)
        and seen.path.read_bytes().strip() == word.strip()
    )
