"""The check itself: every rule on everything below the root, less what is allowed."""

import fnmatch
from collections.abc import Iterable, Iterator
from pathlib import Path

import attrs

from immutable.errors import InvalidInput
from immutable.images.proof.checking import (
    Finding,
    Judgement,
    digest_of_check,
    judged,
    undecided,
)
from immutable.images.proof.places import Place, Root, Target
from immutable.images.proof.sealing.naming import (
    RULES_BY_NAME,
    wrong_by_mode,
    wrong_by_name,
)
from immutable.images.proof.sealing.passwords import wrong_passwords
from immutable.images.proof.sealing.reading import NotRead, Tally, wrong_by_content
from immutable.images.proof.sealing.shipped import Shipped
from immutable.images.proof.sealing.walking import Seen, Unread, walk
from immutable.images.unbooted import OutOfReach
from immutable.judging import VerdictStatus
from immutable.model import Digest

_UNREAD = "unread"
RULES = (
    *sorted({rule.name for rule in RULES_BY_NAME}),
    *("device", "entropy", "password", "secret", "set-uid", _UNREAD, "world-writable"),
)
"""The name of every rule; each can be allowed, everywhere or on some paths."""


def _sorted(values: Iterable[str]) -> tuple[str, ...]:
    if isinstance(values, str):
        raise InvalidInput(f"allow is the text {values!r}", hint='write ("ssh",)')
    return tuple(sorted(set(values)))


@attrs.frozen(kw_only=True)
class Sealed:
    """Nothing of the build machine, of its people or of any instance is in the image."""

    allow: tuple[str, ...] = attrs.field(default=(), converter=_sorted)

    @allow.validator
    def _check_allow(self, _attribute: object, value: tuple[str, ...]) -> None:
        unknown = [word for word in value if word.partition(":")[0] not in RULES]
        if unknown:
            raise InvalidInput(
                f"no rule is called {', '.join(map(repr, unknown))}",
                hint=f"write RULE or RULE:/path/*, of: {', '.join(RULES)}",
            )

    @property
    def name(self) -> str:
        """Return the name under which it is recorded, with what is allowed."""
        return f"sealed({', '.join(self.allow)})"

    @property
    def needs(self) -> tuple[Place, ...]:
        """Return the root: what runs cannot be asked what it hides."""
        return (Place.ROOT,)

    @property
    def digest(self) -> Digest:
        """Return a digest of what is allowed."""
        return digest_of_check(self)

    def judge(self, target: Target) -> Judgement:
        """Look at everything; a part that cannot be looked at leaves it undecided."""
        if not isinstance(target, Root):
            return undecided(self.name, "only an unbooted root can be searched")
        tally = Tally()
        everything = list(findings(target.path, tally))
        found = [finding for finding in everything if not self._allows(finding)]
        return self._judged(found, len(everything) - len(found), tally)

    def _allows(self, finding: Finding) -> bool:
        for word in self.allow:
            rule, _, pattern = word.partition(":")
            if rule == finding.rule and fnmatch.fnmatchcase(
                finding.path, pattern or "*"
            ):
                return True
        return False

    def _judged(self, found: list[Finding], allowed: int, tally: Tally) -> Judgement:
        said = f"{tally.files} files of {tally.size_bytes} bytes read"
        if allowed:
            said += f", {allowed} allowed"
        if tally.shipped:
            said += f", {tally.shipped} as their packages brought them"
        if tally.archives:
            said += f", {tally.archives} archives not unpacked"
        rules = sorted({finding.rule for finding in found})
        if not found:
            return judged(self.name, VerdictStatus.PASSED, said)
        first = min(found)
        said = f"{', '.join(rules)}: {first.path} ({first.detail}); {said}"
        only = rules == [_UNREAD]
        status = VerdictStatus.UNDECIDED if only else VerdictStatus.FAILED
        return judged(self.name, status, said, *found)


def findings(root: Path, tally: Tally) -> Iterator[Finding]:
    """Yield all that is wrong below a root, in the order in which it is met."""
    shipped = Shipped(root)
    for seen in walk(root):
        if isinstance(seen, Unread):
            yield Finding(rule=_UNREAD, path=seen.name, detail=seen.reason)
            continue
        for rule, detail in _wrong_with(seen, shipped, tally):
            yield Finding(rule=rule, path=seen.name, detail=detail)
    try:
        for name, detail in wrong_passwords(root):
            yield Finding(rule="password", path=name, detail=detail)
    except (OSError, OutOfReach) as exc:
        yield Finding(rule=_UNREAD, path="/etc/shadow", detail=str(exc))


def _wrong_with(
    seen: Seen, shipped: Shipped, tally: Tally
) -> Iterator[tuple[str, str]]:
    yield from wrong_by_mode(seen)
    try:
        yield from wrong_by_name(seen)
        if seen.has_content:
            yield from wrong_by_content(seen, shipped, tally)
    except (OSError, OutOfReach, NotRead) as exc:
        yield _UNREAD, getattr(exc, "strerror", None) or str(exc)


def sealed(*, allow: Iterable[str] = ()) -> Sealed:
    """Return a check that an image holds nothing of its build and no secret.

    Refused are keys and an ssh server, identities and randomness, logs, caches, histories
    and temporary files, stores of credentials, secrets by their form or their randomness,
    passwords, devices, what everybody may write, programs that give rights, and traces of
    the build in ``policy-rc.d`` and ``resolv.conf``. What is found is told without the
    secret itself.

    Args:
        allow: rules that may be broken: ``"ssh"`` everywhere, or
            ``"set-uid:/usr/bin/sudo"`` on paths that match a pattern.

    Raises:
        InvalidInput: no rule is called so.
    """
    return Sealed(allow=allow)
