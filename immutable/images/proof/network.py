"""What answers in a booted instance: a port, or a path over HTTP."""

import io
import re
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

import attrs

from immutable.durations import duration
from immutable.errors import InvalidInput
from immutable.images.proof.checking import (
    Judgement,
    digest_of_check,
    failed,
    passed,
    undecided,
)
from immutable.images.proof.places import Booted, Place, Target, checked_port
from immutable.images.proof.texts import Text, Texts, as_texts, unmet
from immutable.images.proof.waiting import insist
from immutable.judging import VerdictStatus
from immutable.model import Digest, Endpoint

if TYPE_CHECKING:
    from immutable.validators.exchange import Answer

_NOT_BOOTED = "only a booted instance listens"
_ONE_TRY = timedelta(seconds=5)
_PATH = re.compile(r"/[!-\"$-~]{0,2047}")
_STATUSES = range(100, 600)
_QUOTED_BYTES = 8000


@attrs.frozen(kw_only=True)
class Port:
    """A port that must accept connections, or must refuse them."""

    number: int = attrs.field(converter=checked_port)
    is_open: bool = True
    within: timedelta = attrs.field(converter=duration)

    @property
    def name(self) -> str:
        """Return the name under which it is recorded."""
        return f"port({self.number}{'' if self.is_open else ', open=False'})"

    @property
    def needs(self) -> tuple[Place, ...]:
        """Return the booted instance."""
        return (Place.BOOTED,)

    @property
    def digest(self) -> Digest:
        """Return a digest of what is asked for."""
        return digest_of_check(self)

    def judge(self, target: Target) -> Judgement:
        """Connect; a refusal says that it is closed, silence leaves it undecided."""
        if not isinstance(target, Booted):
            return undecided(self.name, _NOT_BOOTED)
        # before it has started everything is closed: that proves nothing
        until = VerdictStatus.PASSED if self.is_open else VerdictStatus.FAILED
        return insist(lambda: self._knock(target), within=self.within, until_it=until)

    def _knock(self, target: Booted) -> Judgement:
        from immutable.validators.connection import Unacceptable, connect

        port = target.reached_at(self.number)
        deadline = time.monotonic() + _ONE_TRY.total_seconds()
        try:
            connect(target.address, port, deadline=deadline).close()
        except ConnectionRefusedError as exc:
            judge = failed if self.is_open else passed
            return judge(self.name, str(exc))
        except (OSError, Unacceptable) as exc:
            return undecided(self.name, str(exc))
        return (passed if self.is_open else failed)(self.name, "it accepts")


def _as_statuses(value: int | Iterable[int]) -> tuple[int, ...]:
    return (value,) if isinstance(value, int) else tuple(value)


@attrs.frozen(kw_only=True)
class Http:
    """A path that must be answered with a status and with some text."""

    path: str = attrs.field()
    port: int = attrs.field(converter=checked_port)
    statuses: tuple[int, ...] = attrs.field(converter=_as_statuses)
    contains: tuple[Text, ...] = attrs.field(default=(), converter=as_texts)
    within: timedelta = attrs.field(converter=duration)

    @path.validator
    def _check_path(self, _attribute: object, value: str) -> None:
        if not _PATH.fullmatch(value):
            raise InvalidInput(
                f"{value!r:.80} is no HTTP path",
                hint='begin with "/" and percent-encode all but visible ASCII',
            )

    @statuses.validator
    def _check_statuses(self, _attribute: object, value: tuple[int, ...]) -> None:
        if not value or any(type(s) is not int or s not in _STATUSES for s in value):
            raise InvalidInput(
                f"no server answers with status {value!r:.80}",
                hint="give one such as 200, or several as in range(200, 300)",
            )

    @property
    def name(self) -> str:
        """Return the name, without the query: that may hold a secret."""
        path, query, _ = self.path.partition("?")
        return f"http({path}{query and '?…'}, port={self.port})"

    @property
    def needs(self) -> tuple[Place, ...]:
        """Return the booted instance."""
        return (Place.BOOTED,)

    @property
    def digest(self) -> Digest:
        """Return a digest of what is asked for."""
        return digest_of_check(self)

    def judge(self, target: Target) -> Judgement:
        """Ask; a wrong answer fails, none leaves it undecided."""
        if not isinstance(target, Booted):
            return undecided(self.name, _NOT_BOOTED)
        return insist(lambda: self._ask(target), within=self.within)

    def _ask(self, target: Booted) -> Judgement:
        from immutable.validators import exchange

        endpoint = Endpoint(host=target.address, port=target.reached_at(self.port))
        try:
            with exchange.get(
                endpoint, self.path, headers={}, timeout=_ONE_TRY
            ) as answer:
                return self._judged(answer)
        except exchange.NoAnswer as exc:
            return undecided(self.name, f"no answer: {exc}")
        except exchange.BadAnswer as exc:
            return failed(self.name, f"bad answer: {exc}")

    def _judged(self, answer: "Answer") -> Judgement:
        if answer.status not in self.statuses:
            said = answer.start().decode(errors="replace")
            return failed(self.name, f"status {answer.status}: “{said}”")
        return self._judged_body(answer)

    def _judged_body(self, answer: "Answer") -> Judgement:
        body = answer.body() if self.contains else b""
        if missing := unmet(self.contains, io.BytesIO(body)):
            said = body[:_QUOTED_BYTES].decode(errors="replace")
            wanted = ", ".join(map(str, missing))
            return failed(self.name, f"does not meet {wanted}: “{said}”")
        return passed(self.name, f"status {answer.status}")


def port(number: int, *, open: bool = True, within: timedelta | str = "30s") -> Port:  # noqa: A002 - port(22, open=False) is how one says it
    """Return a check that a port of the booted instance accepts connections.

    Args:
        number: the port, as the instance itself has it.
        open: False where nothing must listen, for all the time of ``within``.
        within: how long an instance that is still starting is asked again.

    Raises:
        InvalidInput: there is no such port.
    """
    return Port(number=number, is_open=open, within=within)


def http(
    path: str,
    *,
    port: int,
    contains: Texts = (),
    status: int | Iterable[int] = 200,
    within: timedelta | str = "30s",
) -> Http:
    """Return a check that the booted instance answers a path as it should.

    No redirect is followed. The last answer counts.

    Args:
        path: what to ask for, beginning with ``/``.
        port: the instance's own port.
        contains: texts that must all be in the body; see `Text` for patterns.
        status: the status, or all the statuses, that will do.
        within: how long an instance that is still starting is asked again.

    Raises:
        InvalidInput: an argument that can never work.
    """
    return Http(path=path, port=port, contains=contains, statuses=status, within=within)
