"""Which release broke it: a binary search over the images of the past, off production."""

import functools
from collections.abc import Iterable
from datetime import timedelta

import attrs

from immutable.calling import Watch, work_on
from immutable.deploying import admitting
from immutable.deploying.engine import Engine
from immutable.deploying.entering import is_leased, load
from immutable.deploying.trials import Terms, Trial, check_possible, try_release
from immutable.durations import duration
from immutable.errors import Cancelled, Contention, InvalidInput, UnknownRelease
from immutable.events import Judged, OnEvent
from immutable.host import Stop
from immutable.images.catalogue.wording import check_reason
from immutable.judging import VerdictStatus
from immutable.ledger.goals import DeployGoal
from immutable.model import Digest, FleetName, Release
from immutable.protocols import Validator
from immutable.service import Service, check_size, check_validators


@attrs.frozen(kw_only=True)
class Bisection:
    """What a search has found, with everything that was tried."""

    good: Release
    """The latest release that is known to be good."""
    first_bad: Release | None
    """The first bad one; None where those before it could not be judged."""
    suspects: tuple[Release, ...]
    """The first bad one is among these: just it, where it is known."""
    trials: tuple[Trial, ...]
    """In the order in which they were made."""

    def __str__(self) -> str:
        """Return the log, a line for each trial."""
        lines = [
            f"  v{t.release.number} {t.verdict.status} {t.verdict.evidence}".rstrip()
            for t in self.trials
        ]
        among = ", ".join(f"v{release.number}" for release in self.suspects)
        word = (
            "the first bad release is" if self.first_bad else "the first bad is among"
        )
        return "\n".join([f"v{self.good.number} is good; {word} {among}", *lines])


def bisect(
    service: Service,
    good: int,
    bad: int,
    check: Validator,
    *,
    size: int = 1,
    ttl: timedelta | str = "1h",
    on_event: OnEvent | None = None,
    cancel: Stop | None = None,
    progress: bool | str = False,
    allow_revoked: str | None = None,
) -> Bisection:
    """Find the first bad release between a good one and a bad one.

    Releases in the middle are launched as small fleets, off production. What is undecided,
    gone or revoked is passed over. A killed search leaves what `sweep` takes away.

    Args:
        service: whose history.
        good: the number of a release that works.
        bad: the number of a later one that does not; both are believed.
        check: any validator, asked of a `Target` on the preview route.
        size: instances in each trial.
        ttl: after this the tags of a trial say that it is over.
        on_event: gets a `Judged` for each trial, in order.
        cancel: anything with ``is_set()``.
        progress: show progress; see `deploy`.
        allow_revoked: why revoked images may be tried; see `deploy`.

    Raises:
        InvalidInput: the arguments cannot be meant, or both releases are the same.
        UnknownRelease: there is no such release.
        Unsupported: the switch has no preview route, or compares nothing.
        Contention, Cancelled: a deployment is in progress; the caller asked to stop.
        LedgerError, BackendError: something cannot be reached.
    """
    terms = _terms(check, size, ttl, allow_revoked)
    work = functools.partial(_search, good=good, bad=bad, terms=terms)
    return work_on(service, Watch(on_event, cancel, progress), work)


def _terms(
    check: Validator, size: int, ttl: timedelta | str, allow_revoked: str | None
) -> Terms:
    (judge,) = check_validators((check,))
    return Terms(
        check=judge,
        size=check_size(size),
        ttl=duration(ttl),
        allow_revoked=check_reason(allow_revoked),
    )


def _search(engine: Engine, good: int, bad: int, terms: Terms) -> Bisection:
    engine, _ = load(engine)
    releases = between(_history(engine), good, bad)
    check_possible(engine)
    known = _believed(releases[0], releases[-1])
    low, high, trials, skipped = 0, len(releases) - 1, list[Trial](), set[int]()
    while (middle := choose(low, high, skipped)) is not None:
        status = known.get(releases[middle].digest)
        if status is None:
            trial = _trial(engine, releases[middle], terms)
            trials.append(trial)
            status = known[releases[middle].digest] = trial.verdict.status
        match status:
            case VerdictStatus.PASSED:
                low = middle
            case VerdictStatus.FAILED:
                high = middle
            case VerdictStatus.UNDECIDED:
                skipped.add(middle)
    return _found(releases, low, high, trials)


def _believed(good: Release, bad: Release) -> dict[Digest, VerdictStatus]:
    if good.digest == bad.digest:
        raise InvalidInput(
            f"v{good.number} and v{bad.number} differ by their numbers alone",
            hint="what differs is no release: look elsewhere for the fault",
        )
    return {good.digest: VerdictStatus.PASSED, bad.digest: VerdictStatus.FAILED}


def between(releases: Iterable[Release], good: int, bad: int) -> tuple[Release, ...]:
    """Return the releases from the good one to the bad one, ascending.

    Raises:
        UnknownRelease: one of the two is not among them.
        InvalidInput: the good one is not the earlier.
    """
    known = {release.number: release for release in releases}
    for number in (good, bad):
        if number not in known:
            names = ", ".join(f"v{each}" for each in sorted(known)) or "none"
            raise UnknownRelease(
                f"there is no release {number!r}; there are: {names}",
                hint="see history()",
            )
    if good >= bad:
        raise InvalidInput(
            f"v{good} is not before v{bad}", hint="name the good one, then the bad one"
        )
    return tuple(known[number] for number in sorted(known) if good <= number <= bad)


def choose(low: int, high: int, skipped: set[int]) -> int | None:
    """Return what to try next: what is nearest to the middle; None: nothing is left."""
    left = [at for at in range(low + 1, high) if at not in skipped]
    return min(left, key=lambda at: (abs(2 * at - low - high), at), default=None)


def _found(
    releases: tuple[Release, ...], low: int, high: int, trials: list[Trial]
) -> Bisection:
    suspects = releases[low + 1 : high + 1]
    return Bisection(
        good=releases[low],
        first_bad=releases[high] if len(suspects) == 1 else None,
        suspects=suspects,
        trials=tuple(trials),
    )


def _trial(engine: Engine, release: Release, terms: Terms) -> Trial:
    """Try a release while nobody deploys, and tell what became of it."""
    if engine.stop.is_set():
        raise Cancelled("asked to stop between two trials")
    engine, state = load(engine)
    admitting.check_free(state, leased=is_leased(state, engine.host))
    if state.attempt is not None:
        raise Contention("a deployer died at work", hint="recover() first")
    trial = try_release(engine, release, terms)
    engine.tell(
        Judged(
            at=engine.host.now(),
            fleet=trial.fleet or _no_fleet(release),
            live=False,
            verdict=trial.verdict,
        )
    )
    return trial


def _no_fleet(release: Release) -> FleetName:
    return FleetName(f"v{release.number}")


def _history(engine: Engine) -> tuple[Release, ...]:
    """Return the releases that were live, and those that never came so far."""
    goals = (getattr(record.entry, "goal", None) for record in engine.journal.history())
    found = {g.release.number: g.release for g in goals if isinstance(g, DeployGoal)}
    return tuple(found[number] for number in sorted(found))
