"""What a check is, and what it says."""

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

import attrs

from immutable.images.proof.places import Place, Target
from immutable.images.proof.redaction import shown
from immutable.judging import Verdict, VerdictStatus
from immutable.model import Digest, digest_of

FINDINGS_LIMIT = 500
"""A check lists no more than these; its evidence says how many there are."""
EVIDENCE_LIMIT = 500
NAME_LIMIT = 120


def _evidence(text: str) -> str:
    return shown(text, limit=EVIDENCE_LIMIT)


@attrs.frozen(kw_only=True, order=True)
class Finding:
    """One thing that a check found wrong: by which rule, where, and what.

    Nothing in it is a secret: what looks like one is replaced when it is made.
    """

    rule: str
    path: str = attrs.field(converter=_evidence)
    detail: str = attrs.field(converter=_evidence)


@attrs.frozen(kw_only=True)
class Judgement:
    """A check's verdict, with all that it found wrong and the tools it used."""

    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    tools: tuple[tuple[str, str], ...] = ()

    @property
    def check(self) -> str:
        """Return the name of the check."""
        return self.verdict.validator

    @property
    def status(self) -> VerdictStatus:
        """Return whether the check passed, failed or could not decide."""
        return self.verdict.status


@runtime_checkable
class Check(Protocol):
    """Judges an image. Any object with these members is one; nothing is inherited.

    A check is a value: two of the same digest ask for the same. `digest_of_check` makes
    the digest of one whose fields are all plain.
    """

    @property
    def name(self) -> str:
        """Return the name under which it is recorded."""
        ...

    @property
    def needs(self) -> tuple[Place, ...]:
        """Return where it has to be judged: in all of these, to pass."""
        ...

    @property
    def digest(self) -> Digest:
        """Return a digest of all that it asks for."""
        ...

    def judge(self, target: Target) -> Judgement:
        """Judge one target, of a kind that `needs` names.

        What cannot be known there is undecided, never passed. An exception means failed.
        """
        ...


def digest_of_check(check: attrs.AttrsInstance) -> Digest:
    """Return the digest of a check that is an attrs class of plain fields."""
    fields = attrs.asdict(check, recurse=True)
    return digest_of(
        type(check).__name__, {name: repr(value) for name, value in fields.items()}
    )


def worst(statuses: Iterable[VerdictStatus]) -> VerdictStatus:
    """Return failed if any failed, and passed only if there are some and every one passed."""
    found = set(statuses)
    if VerdictStatus.FAILED in found:
        return VerdictStatus.FAILED
    decided = found == {VerdictStatus.PASSED}
    return VerdictStatus.PASSED if decided else VerdictStatus.UNDECIDED


def passed(check: str, evidence: str = "") -> Judgement:
    """Return the judgement of a check that found what it asks for."""
    return judged(check, VerdictStatus.PASSED, evidence)


def failed(check: str, evidence: str, *findings: Finding) -> Judgement:
    """Return the judgement of a check that found otherwise."""
    return judged(check, VerdictStatus.FAILED, evidence, *findings)


def undecided(check: str, evidence: str, *findings: Finding) -> Judgement:
    """Return the judgement of a check that could not find out."""
    return judged(check, VerdictStatus.UNDECIDED, evidence, *findings)


def judged(
    check: str,
    status: VerdictStatus,
    evidence: str,
    *findings: Finding,
    tools: tuple[tuple[str, str], ...] = (),
) -> Judgement:
    """Return a judgement that is safe to print and to keep, and not too long.

    Args:
        check: the name of the check.
        status: what it says.
        evidence: why, in a few words; secrets are replaced, the end is cut off.
        findings: what it found wrong. Only the first `FINDINGS_LIMIT` are kept.
        tools: what was used, with versions.
    """
    if len(findings) > FINDINGS_LIMIT:
        evidence = f"{evidence} ({len(findings)} in all, {FINDINGS_LIMIT} listed)"
    verdict = Verdict(
        status=status,
        evidence=shown(evidence, limit=EVIDENCE_LIMIT),
        validator=shown(check, limit=NAME_LIMIT),
    )
    kept = tuple(sorted(findings)[:FINDINGS_LIMIT])
    return Judgement(verdict=verdict, findings=kept, tools=tools)
