"""Validators that judge a fleet by what its load balancer has measured of it.

They pass only what was measured: without data, or with too little, they are undecided, and
are asked again until their time is over.
"""

from datetime import timedelta

import attrs

from immutable.durations import duration, spell
from immutable.errors import ImmutableError, InvalidInput
from immutable.judging import Target, Verdict, VerdictStatus
from immutable.urls import Url
from immutable.validators.evidence import excerpt
from immutable_aws import metrics
from immutable_aws.config import place_of
from immutable_aws.errors import said
from immutable_aws.metrics import Balanced
from immutable_aws.session import Place, aws_of

_WHOLE = 100
_EXCERPT_LIMIT = 200


@attrs.frozen(kw_only=True)
class Counted:
    """What became of the requests that were given to a fleet."""

    asked: int
    answered: int
    """With 2xx, 3xx or 4xx."""
    errors: int
    """Answered with 5xx."""
    refusals: int
    """Connections to its instances that could not be made."""
    unanswered: int
    """For which the load balancer answered, of any of its fleets."""
    is_whole: bool
    """Whether all the numbers came."""

    @property
    def failed(self) -> int:
        """Return how many requests failed.

        The fleet's own numbers do not tell of instances that hang up or never answer: of
        them are at most those without an answer, and at most those for which the load
        balancer answered. What clients broke off, and connections that became something
        else, have no answer either, and have not failed.
        """
        lost = max(0, self.asked - self.answered - self.errors)
        return self.errors + max(self.refusals, min(lost, self.unanswered))


@attrs.frozen(kw_only=True)
class FewErrors:
    """Passes a fleet of whose requests at most so many percent failed."""

    place: Place
    percent: float
    over: timedelta
    requests: int

    @property
    def name(self) -> str:
        """Return how verdicts are labelled."""
        return f"no_more_5xx_than({self.percent:g})"

    def __call__(self, target: Target) -> Verdict:
        """Judge a fleet by what was measured of its own target group.

        Its failures are answers of 5xx, connections that could not be made, and requests
        that got no answer of its. So many that the fleet cannot pass any more fail it before
        there were enough requests.
        """
        if not target.live:
            return self._undecided("it has no traffic of production yet")
        try:
            return self._judged(target)
        except ImmutableError as exc:
            reason = "it has no target group" if _is_absent(exc) else str(exc)
            return self._undecided(excerpt(reason, limit=_EXCERPT_LIMIT))

    def _judged(self, target: Target) -> Verdict:
        aws = aws_of(self.place)
        found = metrics.balanced(aws, target.fleet)
        if found is None:
            return self._undecided("no load balancer has its target group")
        return self._verdict(self._counted(found))

    def _counted(self, found: Balanced) -> Counted:
        groups = (
            (found.requests,),
            found.answers,
            (found.errors,),
            (found.refusals,),
            found.unanswered,
        )
        wanted = [metric for group in groups for metric in group]
        series = iter(metrics.read(aws_of(self.place), wanted, over=self.over))
        rows = [[next(series) for _ in group] for group in groups]
        totals = [int(sum(one.total for one in row)) for row in rows]
        asked, answered, errors, refusals, unanswered = totals
        return Counted(
            asked=asked,
            answered=answered,
            errors=errors,
            refusals=refusals,
            unanswered=unanswered,
            is_whole=all(one.complete for row in rows for one in row),
        )

    def _verdict(self, found: Counted) -> Verdict:
        asked, failed = found.asked, found.failed
        evidence = f"{failed} of {asked} requests failed in {spell(self.over)}"
        if _WHOLE * failed > self.percent * max(asked, self.requests):
            return self._said(VerdictStatus.FAILED, evidence)
        if not found.is_whole:
            return self._undecided(f"{evidence}, but CloudWatch has not told all")
        if found.answered + found.errors < self.requests:
            return self._undecided(f"{evidence}; {self.requests} are needed to judge")
        return self._said(VerdictStatus.PASSED, evidence)

    def _undecided(self, evidence: str) -> Verdict:
        return self._said(VerdictStatus.UNDECIDED, evidence)

    def _said(self, status: VerdictStatus, evidence: str) -> Verdict:
        return Verdict(status=status, evidence=evidence, validator=self.name)


def no_more_5xx_than(
    percent: float,
    *,
    at: str,
    over: timedelta | str = "5m",
    requests: int = 100,
) -> FewErrors:
    """Return a validator of the error rate that the load balancer has measured.

    For the time when a fleet serves; before that it is undecided. CloudWatch has a
    minute's numbers some minutes later, so hold a stage for longer than that.

        judge = no_more_5xx_than(1, at="aws://eu-west-1")
        immutable.deploy(shop, image, strategy=Canary(hold="10m", judge=judge))

    Args:
        percent: of the requests, 0 to 100.
        at: where the fleet is: ``aws://region``, with ``profile`` and ``account``.
        over: how far to look back.
        requests: with fewer it is undecided.

    Raises:
        InvalidInput: a number or the address cannot be used.
    """
    url = Url.parse(at)
    url.require_known("profile", "account")
    if not 0 <= percent <= _WHOLE:
        raise InvalidInput(f"{percent} is no percentage", hint="give 0 to 100")
    if requests < 1:
        raise InvalidInput(f"requests={requests}", hint="no data is no proof: give 1")
    return FewErrors(
        place=place_of(url), percent=percent, over=duration(over), requests=requests
    )


def _is_absent(error: ImmutableError) -> bool:
    return said(error) in {"TargetGroupNotFound", "TargetGroupNotFoundException"}
