"""Ask the fleet over HTTP and judge the answer.

http.client and sockets are loaded by the first call, because importing `immutable` must
stay cheap.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING

import attrs

from immutable.durations import duration
from immutable.errors import InvalidInput
from immutable.judging import Target, Verdict, VerdictStatus
from immutable.model import pairs
from immutable.validators.evidence import excerpt

if TYPE_CHECKING:
    from immutable.validators.exchange import Answer

_PATH = re.compile(r"/[!-\"$-~]{0,2047}")
_HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_HEADER_VALUE = re.compile(r"(?:[!-~](?:[ -~]{0,2046}[!-~])?)?")
# These say how the request itself is framed, and are not the caller's to set.
_FRAMING = frozenset(
    {"connection", "content-length", "expect", "te", "transfer-encoding", "upgrade"}
)
_STATUSES = range(100, 600)
_EXCERPT_LIMIT = 80


def _as_statuses(value: int | Iterable[int]) -> tuple[int, ...]:
    return (value,) if isinstance(value, int) else tuple(value)


@attrs.frozen(kw_only=True)
class HttpValidator:
    """A GET whose answer must have one of the statuses and the text asked for."""

    path: str = attrs.field()
    statuses: tuple[int, ...] = attrs.field(converter=_as_statuses)
    contains: str | None = attrs.field(default=None)
    equals: str | None = None
    headers: tuple[tuple[str, str], ...] = attrs.field(
        default=(), converter=pairs, repr=False
    )
    timeout: timedelta = attrs.field(converter=duration)

    @path.validator
    def _check_path(self, _attribute: object, value: object) -> None:
        if not (isinstance(value, str) and _PATH.fullmatch(value)):
            raise InvalidInput(
                f"{value!r:.80} is no HTTP path",
                hint='begin with "/" and percent-encode all but visible ASCII',
            )

    @statuses.validator
    def _check_statuses(self, _attribute: object, value: tuple[object, ...]) -> None:
        if not value or any(type(s) is not int or s not in _STATUSES for s in value):
            raise InvalidInput(
                f"no server answers with status {value!r:.80}",
                hint="give one such as 200, or several as in range(200, 300)",
            )

    @contains.validator
    def _check_contains(self, _attribute: object, value: str | None) -> None:
        if value is not None and not value:
            raise InvalidInput("contains is empty", hint="give some text, or leave it")

    @headers.validator
    def _check_headers(
        self, _attribute: object, value: tuple[tuple[str, str], ...]
    ) -> None:
        for name, text in value:
            legal = _HEADER_NAME.fullmatch(name) and _HEADER_VALUE.fullmatch(text)
            if not legal or name.lower() in _FRAMING:
                # Without the value, which may be a secret.
                raise InvalidInput(
                    f"the header {name!r:.80} cannot be sent",
                    hint="use visible ASCII, and no header that frames the request",
                )

    @timeout.validator
    def _check_timeout(self, _attribute: object, value: timedelta) -> None:
        if not value:
            raise InvalidInput("a timeout of zero", hint='write it as "5s"')

    @property
    def name(self) -> str:
        """Return the name, without the query: that may hold a secret."""
        path, query, _ = self.path.partition("?")
        return f"http({path}{query and '?…'})"

    def __call__(self, target: Target) -> Verdict:
        """Ask once and judge the answer; without an answer, it is undecided."""
        from immutable.validators import exchange

        try:
            with exchange.get(
                target.endpoint,
                self.path,
                headers=dict(self.headers),
                timeout=self.timeout,
            ) as answer:
                problem = self._problem_of(answer)
        except exchange.NoAnswer as exc:
            return self._verdict(VerdictStatus.UNDECIDED, f"no answer: {exc}")
        except exchange.BadAnswer as exc:
            return self._verdict(VerdictStatus.FAILED, f"bad answer: {exc}")
        if problem:
            return self._verdict(VerdictStatus.FAILED, problem)
        return self._verdict(VerdictStatus.PASSED, f"status {answer.status}")

    def _problem_of(self, answer: Answer) -> str:
        if answer.status not in self.statuses:
            wanted = _spell(self.statuses)
            return f"status {answer.status}, not {wanted}: {_quote(answer.start())}"
        if self.contains is None and self.equals is None:
            return ""
        return self._problem_in(answer.body())

    def _problem_in(self, body: bytes) -> str:
        if self.contains is not None and self.contains.encode() not in body:
            return f"the body lacks {self.contains!r:.80}: {_quote(body)}"
        if self.equals is not None and self.equals.encode().strip() != body.strip():
            return f"the body is not {self.equals!r:.80}: {_quote(body)}"
        return ""

    def _verdict(self, status: VerdictStatus, evidence: str) -> Verdict:
        return Verdict(status=status, evidence=evidence, validator=self.name)


def _quote(body: bytes) -> str:
    start = body[: 4 * _EXCERPT_LIMIT].decode(errors="replace")
    return f"“{excerpt(start, limit=_EXCERPT_LIMIT)}”"


def _spell(statuses: tuple[int, ...]) -> str:
    first, last = min(statuses), max(statuses)
    if len(statuses) > 1 and set(statuses) == set(range(first, last + 1)):
        return f"{first} to {last}"
    return " or ".join(map(str, statuses))


def http(
    path: str,
    *,
    status: int | range | tuple[int, ...] = 200,
    contains: str | None = None,
    equals: str | None = None,
    headers: Mapping[str, str] | Iterable[tuple[str, str]] = (),
    timeout: timedelta | str = "5s",
) -> HttpValidator:
    """Return a validator that asks for a path on the fleet's route.

    Redirects are answers like any other, and are not followed. A wrong answer fails; no
    answer (refused, cut off, too late) is undecided.

    Args:
        path: what to ask for, beginning with ``/``. Keep secrets out of it: the part
            before ``?`` becomes the validator's name.
        status: the status, or all the statuses, that will do.
        contains: text that must be somewhere in the body, as UTF-8.
        equals: text that the body must be, but for white space around it, as UTF-8.
        headers: more to send. The headers that choose the route win over these.
        timeout: for the whole exchange.

    Raises:
        InvalidInput: an argument that can never work.
    """
    return HttpValidator(
        path=path,
        statuses=status,
        contains=contains,
        equals=equals,
        headers=headers,
        timeout=timeout,
    )
