"""Judge an image by checks, and keep what they said as a value."""

import functools
import platform
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from importlib import metadata
from typing import cast

import attrs

from immutable import host
from immutable.durations import duration, spell
from immutable.errors import InvalidInput
from immutable.host import Host
from immutable.images.proof.checking import (
    Check,
    Finding,
    Judgement,
    failed,
    judged,
    undecided,
    worst,
)
from immutable.images.proof.places import Booted, Place, Root, Target
from immutable.judging import VerdictStatus
from immutable.model import Digest, Image, ImageId, digest_of
from immutable.workers import Raised, Returned

_MISSING = {
    Place.ROOT: "its unbooted root was not given",
    Place.BOOTED: "no booted instance was given",
}


@attrs.frozen(kw_only=True)
class Proof:
    """What checks said of an image: all of it, and of exactly which image.

    ``digest`` is the image's own; ``checks`` is one digest over all that was asked for, in
    order, so that two proofs by the same checks can be told.
    """

    image: ImageId
    digest: Digest
    checks: Digest
    judgements: tuple[Judgement, ...]
    made_at: datetime
    tools: tuple[tuple[str, str], ...] = ()

    @property
    def status(self) -> VerdictStatus:
        """Return failed if any check failed, and passed only if every one passed."""
        return worst(judgement.status for judgement in self.judgements)

    @property
    def is_passed(self) -> bool:
        """Return whether there was a check, and every one passed."""
        return self.status is VerdictStatus.PASSED

    def covers(self, digest: Digest) -> bool:
        """Return whether this proof is about the image of this digest."""
        return self.digest == digest

    def of(self, status: VerdictStatus) -> tuple[Judgement, ...]:
        """Return the judgements of one status, in the order of the checks."""
        return tuple(j for j in self.judgements if j.status is status)


def prove(
    image: Image,
    checks: Iterable[Check],
    *,
    root: Root | None = None,
    booted: Booted | None = None,
    timeout: timedelta | str = "10m",
) -> Proof:
    """Judge an image by checks, one after the other, and return all that they said.

    A check that needs a place which is not given is undecided; so is one that gives no
    answer in time. One that raises failed.

    Args:
        image: what is judged; the proof is about its digest.
        checks: at least one.
        root: its unbooted root.
        booted: an instance of it.
        timeout: how long each check may take. One that hangs is left behind.

    Raises:
        InvalidInput: there is no check.
    """
    asked = check_checks(checks)
    # tests that are files may be written anew while they run
    digest = digest_of_checks(asked)
    here, within = host.current(), duration(timeout)
    targets: dict[Place, Target | None] = {Place.ROOT: root, Place.BOOTED: booted}
    judgements = tuple(_judge(check, targets, here, within) for check in asked)
    return Proof(
        image=image.id,
        digest=image.digest,
        checks=digest,
        judgements=judgements,
        made_at=here.now(),
        tools=_tools(judgements),
    )


def check_checks(checks: object) -> tuple[Check, ...]:
    """Return checks as a tuple.

    Raises:
        InvalidInput: there is none, or something is none.
    """
    if isinstance(checks, Check) or not isinstance(checks, Iterable):
        raise InvalidInput(f"{checks!r:.80} is no list", hint="give [check, …]")
    asked: tuple[object, ...] = tuple(checks)
    if not asked:
        hint = "give some; sealed() is a good first one"
        raise InvalidInput("there is no check", hint=hint)
    for check in asked:
        if not isinstance(check, Check):
            hint = "make one with immutable.images.proof, as sealed()"
            raise InvalidInput(f"{check!r:.80} is no check", hint=hint)
    return cast("tuple[Check, ...]", asked)


def digest_of_checks(checks: Iterable[Check]) -> Digest:
    """Return one digest over what several checks ask for, in their order."""
    return digest_of("checks", *[[check.name, check.digest] for check in checks])


def _judge(
    check: Check,
    targets: dict[Place, Target | None],
    here: Host,
    within: timedelta,
) -> Judgement:
    found = [_judge_in(p, targets[p], check, here, within) for p in check.needs]
    return _together(check.name, found)


def _judge_in(
    place: Place, target: Target | None, check: Check, here: Host, within: timedelta
) -> Judgement:
    if target is None:
        return undecided(check.name, _MISSING[place])
    match here.run([functools.partial(_ask, check, target)], within=within)[0]:
        case Returned(Judgement() as judgement):
            return judgement
        case Returned(other):
            kind = type(other).__qualname__
            return failed(check.name, f"returned {kind}, not a Judgement")
        case Raised(error):
            return failed(check.name, f"{type(error).__name__}: {error}")
        case _:
            return undecided(check.name, f"no answer within {spell(within)}")


def _ask(check: Check, target: Target) -> object:
    # A check is anybody's: what it returns has still to be looked at.
    return check.judge(target)


def _together(name: str, found: list[Judgement]) -> Judgement:
    """Return one judgement of what a check said in all the places that it needs."""
    status = worst(judgement.status for judgement in found)
    evidence = "; ".join(j.verdict.evidence for j in found if j.status is status)
    findings: list[Finding] = [f for j in found for f in j.findings]
    tools = tuple(tool for j in found for tool in j.tools)
    return judged(name, status, evidence, *findings, tools=tools)


def _tools(judgements: tuple[Judgement, ...]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted({*_own_tools(), *(t for j in judgements for t in j.tools)}))


def _own_tools() -> Iterator[tuple[str, str]]:
    yield "python", platform.python_version()
    try:
        yield "immutable-deploy", metadata.version("immutable-deploy")
    except metadata.PackageNotFoundError:
        return
