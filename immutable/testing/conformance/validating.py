"""Cases of `immutable.protocols.Validator`: three verdicts, and always in time."""

import inspect
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import urlsplit

import attrs

from immutable.durations import duration
from immutable.errors import InvalidInput
from immutable.judging import Target, Verdict, VerdictStatus
from immutable.model import (
    Digest,
    Endpoint,
    FleetName,
    HealthCheck,
    Image,
    ImageId,
    Release,
    ReleaseNumber,
    digest_of,
)
from immutable.protocols import Validator
from immutable.testing.conformance.case import Case, Cases, Part
from immutable.testing.conformance.judging import Judge
from immutable.testing.conformance.running import Ran, Result, ran
from immutable.validators.run import name_of, run_validator
from immutable.workers import Raised, Returned

_TEN_SECONDS = timedelta(seconds=10)
_NAME_CHARS = 100


def _is_route(_subject: object, _attribute: object, url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.path.strip("/") or parts.query:
        raise InvalidInput(
            f"{url!r:.80} is no route",
            hint="write http://HOST:PORT; paths are the validator's own",
        )


@attrs.frozen(kw_only=True, eq=False)
class ValidatorSubject:
    """A validator to be held to the contract.

    Args:
        validator: what judges.
        good: where something listens that it is to pass, as ``http://HOST:PORT``.
        bad: where something listens that it is to fail.
        patience: in which it must answer, whatever it meets.
        name: how the report calls it.
    """

    validator: Validator
    good: str = attrs.field(validator=_is_route)
    bad: str = attrs.field(validator=_is_route)
    patience: timedelta = attrs.field(default=_TEN_SECONDS, converter=duration)
    name: str = "validator"


def target(url: str, *, live: bool = False) -> Target:
    """Return a target that is reached at a URL."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port or 80
    digest = Digest(digest_of("conformance", url))
    image = Image(id=ImageId("conformance"), digest=digest, backend="conformance")
    release = Release(
        number=ReleaseNumber(1),
        image=image,
        ports=(port,),
        health=HealthCheck(port=port),
    )
    return Target(
        endpoint=Endpoint(host=host, port=port),
        release=release,
        fleet=FleetName("kit-v1-000000"),
        instances=(),
        live=live,
        port=port,
    )


class ValidatorTrial(Judge):
    """One case's validator."""

    def __init__(self, made: Case["ValidatorTrial"], subject: ValidatorSubject) -> None:
        super().__init__(made.name, made.clause)
        self.given = subject

    def judge(self, url: str, *, live: bool = False) -> Verdict:
        """Let it judge, as the engine does."""
        return run_validator(
            self.given.validator, target(url, live=live), timeout=self.given.patience
        )

    def judged(self, url: str, wanted: VerdictStatus) -> Verdict:
        """Expect a verdict."""
        verdict = self.judge(url)
        self.expect(verdict.status is wanted, f"{wanted} for {url}", verdict)
        return verdict


case = Cases[ValidatorTrial]()


@case(
    Part.VALIDATORS,
    "it takes a target and has a name",
    "Validator: any callable with this shape will do; it is journalled by its name",
)
def has_the_shape(t: ValidatorTrial) -> None:
    """Look at signature and name."""
    validator, name = t.given.validator, name_of(t.given.validator)
    try:
        inspect.signature(validator).bind(target(t.given.good))
    except TypeError as exc:
        t.fail("a callable that takes one target", exc)
    t.expect(name == name_of(validator), "the same name at every call", name)
    t.expect(0 < len(name) <= _NAME_CHARS, "a name", name)


@case(
    Part.VALIDATORS,
    "what is good passes, on both routes",
    "Validator: judge the target; a bool counts as a verdict",
)
def passes(t: ValidatorTrial) -> None:
    """Judge what is good, on the preview route and live."""
    for live in (False, True):
        verdict = t.judge(t.given.good, live=live)
        t.expect(verdict.status is VerdictStatus.PASSED, "passed", verdict)


@case(
    Part.VALIDATORS,
    "what is bad fails",
    "Validator: an exception means failed; None means undecided",
)
def fails(t: ValidatorTrial) -> None:
    """Judge what is bad."""
    t.judged(t.given.bad, VerdictStatus.FAILED)


@case(
    Part.VALIDATORS,
    "the same thing gets the same verdict",
    "Validator: judges a fleet; one call knows nothing of another",
)
def is_steady(t: ValidatorTrial) -> None:
    """Judge good and bad in turns."""
    for _ in range(2):
        t.judged(t.given.good, VerdictStatus.PASSED)
        t.judged(t.given.bad, VerdictStatus.FAILED)


@case(
    Part.VALIDATORS,
    "no answer is no pass",
    "Verdict: no data is undecided, never a pass",
)
def never_passes_nothing(t: ValidatorTrial) -> None:
    """Judge a port at which nobody listens."""
    with _listening() as url:
        nobody = url
    verdict = t.judge(nobody)
    t.expect(verdict.status is not VerdictStatus.PASSED, "failed or undecided", verdict)


@case(
    Part.VALIDATORS,
    "it answers in time, whatever it meets",
    "Validator: a call that gives no answer in time is undecided, and left behind",
)
def is_bounded(t: ValidatorTrial) -> None:
    """Judge a server that takes connections and says nothing."""
    with _listening() as url:
        silent = target(url)
        (answer,) = t.here.run(
            [lambda: t.given.validator(silent)], within=t.given.patience
        )
        t.expect(
            isinstance(answer, Returned | Raised),
            f"an answer within {t.given.patience}",
            answer,
        )
        value = answer.value if isinstance(answer, Returned) else None
        passed = value is True or (
            isinstance(value, Verdict) and value.status is VerdictStatus.PASSED
        )
        t.expect(not passed, "failed or undecided", answer)


@contextmanager
def _listening() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def run_validation(made: Case[ValidatorTrial], subject: ValidatorSubject) -> Ran:
    """Hold a validator to one clause.

    Raises:
        Broken: the clause is not kept.
    """
    made.check(ValidatorTrial(made, subject))
    return ran(made, subject.name, Result.PASSED)
