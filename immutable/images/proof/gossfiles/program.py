"""A goss file judged by the image's own goss, by what that says in JSON.

Checked against output of goss 0.3 and 0.4 as its own tests record it; no goss was at hand to
run, so what newer ones say may differ. What is not understood is undecided.
"""

import json
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import attrs

from immutable.durations import duration, spell
from immutable.errors import InvalidInput
from immutable.images.proof.checking import (
    Finding,
    Judgement,
    digest_of_check,
    judged,
    undecided,
    worst,
)
from immutable.images.proof.gossfiles.reading import read_goss
from immutable.images.proof.places import Place, Ran, Target, place_of
from immutable.judging import VerdictStatus
from immutable.model import Digest

# One argument of a program may have 128 KiB.
_LIMIT_BYTES = 100 << 10
_VALIDATE = 'printf %s "$1" | exec goss --gossfile - validate --format json'
_NO_PROGRAM = frozenset({126, 127})
_SKIPPED = 2


@attrs.frozen(kw_only=True)
class GossProgram:
    """A goss file, given to the goss that is in the image."""

    file: str
    content: str = attrs.field(repr=False)
    place: Place
    timeout: timedelta = attrs.field(converter=duration)

    @property
    def name(self) -> str:
        """Return the name under which it is recorded."""
        return f"goss_program({self.file})"

    @property
    def needs(self) -> tuple[Place, ...]:
        """Return where goss is to run."""
        return (self.place,)

    @property
    def digest(self) -> Digest:
        """Return a digest of the file's content and of where it is judged."""
        return digest_of_check(self)

    def judge(self, target: Target) -> Judgement:
        """Run goss inside; without it, or if it cannot be understood, it is undecided."""
        if place_of(target) is not self.place or target.run is None:
            return undecided(self.name, f"no command can be run there: {self.place}")
        argv = ("/bin/sh", "-c", _VALIDATE, "goss", self.content)
        try:
            ran = target.run(argv, timeout=self.timeout)
            return self._judged(ran, _version(target, self.timeout))
        except TimeoutError:
            return undecided(self.name, f"did not end within {spell(self.timeout)}")
        except OSError as exc:
            return undecided(self.name, f"could not be run: {exc}")

    def _judged(self, ran: Ran, tools: tuple[tuple[str, str], ...]) -> Judgement:
        if ran.status in _NO_PROGRAM:
            return undecided(self.name, "there is no goss in the image")
        try:
            results = list(_results(ran.stdout))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            said = (ran.stderr or ran.stdout)[:8000].decode(errors="replace")
            return undecided(self.name, f"status {ran.status}, not understood: {said}")
        wrong = [found for _, found in results if found is not None]
        status = worst(status for status, _ in results)
        said = f"{len(results) - len(wrong)} of {len(results)} passed"
        return judged(self.name, status, said, *wrong, tools=tools)


def _results(data: bytes) -> Iterator[tuple[VerdictStatus, Finding | None]]:
    for result in json.loads(data)["results"]:
        status = _status(result)
        where = f"{result['resource-type']}: {result['resource-id']}"
        wrong = status is not VerdictStatus.PASSED
        yield (
            status,
            Finding(
                rule=str(result["property"]),
                path=where,
                detail=str(result["summary-line"]),
            )
            if wrong
            else None,
        )


def _status(result: dict[str, object]) -> VerdictStatus:
    if result.get("skipped") or result["result"] == _SKIPPED:
        return VerdictStatus.UNDECIDED
    # Both must say so: an error in the test itself sets only one of them.
    good = result["successful"] is True and result["result"] == 0
    return VerdictStatus.PASSED if good else VerdictStatus.FAILED


def _version(target: Target, timeout: timedelta) -> tuple[tuple[str, str], ...]:
    if target.run is None:
        return ()
    ran = target.run(("/bin/sh", "-c", "goss --version"), timeout=timeout)
    words = ran.stdout[:200].decode(errors="replace").split()
    return (("goss", words[-1]),) if words and ran.status == 0 else ()


def goss_program(
    path: str | os.PathLike[str],
    *,
    booted: bool = False,
    timeout: timedelta | str = "5m",
) -> GossProgram:
    """Return a check that lets the image's own goss judge a goss file.

    Args:
        path: of the file; it is handed in, and need not be inside.
        booted: in the booted instance rather than in the unbooted root.
        timeout: for the whole file.

    Raises:
        MissingFiles: the file is not there.
        InvalidInput: it is too large, or is no text.
    """
    place = Path(path)
    content = read_goss(place, templates=True)
    if len(content.encode()) > _LIMIT_BYTES:
        raise InvalidInput(f"{place.name} is too large to hand in", hint="divide it")
    where = Place.BOOTED if booted else Place.ROOT
    return GossProgram(file=place.name, content=content, place=where, timeout=timeout)
