"""What a command says that is run inside: in the unbooted root, or in the instance."""

import io
from datetime import timedelta

import attrs

from immutable.durations import duration, spell
from immutable.errors import InvalidInput
from immutable.images.proof.checking import (
    Judgement,
    digest_of_check,
    failed,
    passed,
    undecided,
)
from immutable.images.proof.places import Place, Ran, Root, Target, place_of
from immutable.images.proof.texts import Text, Texts, as_texts, unmet
from immutable.model import Digest

# More than is kept: what is left out must be cut off where secrets were replaced.
_QUOTED_BYTES = 8000


def _argv(value: str | tuple[str, ...] | list[str]) -> tuple[str, ...]:
    return ("/bin/sh", "-c", value) if isinstance(value, str) else tuple(value)


@attrs.frozen(kw_only=True)
class Command:
    """A command that must end with a status and say something."""

    argv: tuple[str, ...] = attrs.field(converter=_argv)
    status: int = 0
    stdout: tuple[Text, ...] = attrs.field(default=(), converter=as_texts)
    stderr: tuple[Text, ...] = attrs.field(default=(), converter=as_texts)
    timeout: timedelta = attrs.field(converter=duration)
    place: Place = Place.ROOT

    @argv.validator
    def _check_argv(self, _attribute: object, value: tuple[str, ...]) -> None:
        if not value or not value[-1].strip() or any("\0" in word for word in value):
            raise InvalidInput(
                f"{value!r:.80} is no command", hint="give a program, or a shell's line"
            )

    @property
    def name(self) -> str:
        """Return the name under which it is recorded."""
        line = self.argv[-1] if self.argv[:2] == ("/bin/sh", "-c") else None
        return f"command({line or ' '.join(self.argv)})"

    @property
    def needs(self) -> tuple[Place, ...]:
        """Return where it is to be run."""
        return (self.place,)

    @property
    def digest(self) -> Digest:
        """Return a digest of what is asked for."""
        return digest_of_check(self)

    def judge(self, target: Target) -> Judgement:
        """Run it; where nothing can be run, or it does not end, it is undecided."""
        if place_of(target) is not self.place:
            return undecided(self.name, f"to be run in: {self.place}")
        if target.run is None:
            where = "root" if isinstance(target, Root) else "instance"
            return undecided(self.name, f"no command can be run in this {where}")
        try:
            ran = target.run(self.argv, timeout=self.timeout)
        except TimeoutError:
            return undecided(self.name, f"did not end within {spell(self.timeout)}")
        except OSError as exc:
            return undecided(self.name, f"could not be run: {exc}")
        return self._judged(ran)

    def _judged(self, ran: Ran) -> Judgement:
        if ran.status != self.status:
            said = f"status {ran.status}, not {self.status}: {_quote(ran)}"
            return failed(self.name, said)
        for what, texts, data in (
            ("stdout", self.stdout, ran.stdout),
            ("stderr", self.stderr, ran.stderr),
        ):
            if missing := unmet(texts, io.BytesIO(data)):
                wanted = ", ".join(map(str, missing))
                return failed(
                    self.name, f"{what} does not meet {wanted}: {_quote(ran)}"
                )
        return passed(self.name, f"status {ran.status}")


def _quote(ran: Ran) -> str:
    said = ran.stderr.strip() or ran.stdout.strip()
    return f"“{said[:_QUOTED_BYTES].decode(errors='replace')}”"


def command(
    argv: str | tuple[str, ...] | list[str],
    *,
    status: int = 0,
    stdout: Texts = (),
    stderr: Texts = (),
    timeout: timedelta | str = "1m",
    booted: bool = False,
) -> Command:
    """Return a check that runs a command inside.

    Args:
        argv: a program and its arguments, or one line for the image's shell.
        status: what it must end with.
        stdout: texts that it must all print; see `Text` for patterns and their absence.
        stderr: likewise.
        timeout: after which it is ended, and undecided.
        booted: run it in the booted instance rather than in the unbooted root.

    Raises:
        InvalidInput: the command is empty.
    """
    return Command(
        argv=argv,
        status=status,
        stdout=stdout,
        stderr=stderr,
        timeout=timeout,
        place=Place.BOOTED if booted else Place.ROOT,
    )
