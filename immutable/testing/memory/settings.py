"""What an address such as ``memory://lab?capacity=10&staleness=2s`` says."""

from datetime import timedelta

import attrs

from immutable.durations import duration
from immutable.errors import InvalidInput
from immutable.testing.provider import Provider
from immutable.testing.registers import KINDS, Kind
from immutable.urls import Url

_CLAIMS = {"yes": True, "no": False, "true": True, "false": False}


def _claim(value: bool | str) -> bool:  # noqa: FBT001 - a converter takes one value
    if isinstance(value, bool):
        return value
    if value not in _CLAIMS:
        raise InvalidInput(
            f"{value!r:.80} is neither yes nor no", hint="write yes or no"
        )
    return _CLAIMS[value]


def _number(value: int | str) -> int:
    if isinstance(value, str) and not value.isdecimal():
        raise InvalidInput(f"{value!r:.80} is no number", hint="write digits")
    return int(value)


def _limit(value: int | str | None) -> int | None:
    return None if value is None else _number(value)


def _kind(value: str) -> Kind:
    for kind in KINDS:
        if kind == value:
            return kind
    raise InvalidInput(
        f"there is no switch {value!r:.80}", hint=f"one of {', '.join(KINDS)}"
    )


_NONE = timedelta()


@attrs.frozen(kw_only=True)
class Settings:
    """The options of an address. All but the first and the last two are `Provider`'s."""

    seed: int = attrs.field(default=0, converter=_number)
    """Decides everything that is drawn."""
    boots_in: timedelta = attrs.field(default=timedelta(seconds=1), converter=duration)
    """Until an instance answers, where its image says nothing else."""
    switch: Kind = attrs.field(default="compare-and-set", converter=_kind)
    capacity: int | None = attrs.field(default=None, converter=_limit)
    staleness: timedelta = attrs.field(default=_NONE, converter=duration)
    late: timedelta = attrs.field(default=_NONE, converter=duration)
    settle: timedelta = attrs.field(default=_NONE, converter=duration)
    drains_in: timedelta = attrs.field(default=_NONE, converter=duration)
    launch_binds: bool = attrs.field(default=False, converter=_claim)
    guards_deletion: bool = attrs.field(default=False, converter=_claim)
    counts: bool = attrs.field(default=False, converter=_claim)
    scales_itself: bool = attrs.field(default=False, converter=_claim)
    """Fleets are native groups; then ``counts`` and ``launch_binds`` hold, too."""
    weighted: bool = attrs.field(default=True, converter=_claim)
    preview: bool = attrs.field(default=True, converter=_claim)
    keeps_logs: bool = attrs.field(default=True, converter=_claim)
    keeps_records: bool = attrs.field(default=True, converter=_claim)
    """How images were made is kept."""
    adopts_artefacts: bool = attrs.field(default=True, converter=_claim)

    @classmethod
    def parse(cls, url: Url) -> "Settings":
        """Return what an address says.

        Raises:
            InvalidInput: an option is unknown, or its value cannot be meant.
        """
        if url.path.strip("/"):
            hint = f"write memory://{url.host}"
            raise InvalidInput(f"{url}: a world has no path", hint=hint)
        url.require_known(*(field.name for field in attrs.fields(cls)))
        try:
            return cls(**dict(url.options))
        except InvalidInput as exc:
            exc.add_note(f"in {url}")
            raise

    @property
    def provider(self) -> Provider:
        """Return what the world's provider is like."""
        provider = Provider(
            switch=self.switch,
            capacity=self.capacity,
            staleness=self.staleness,
            late=self.late,
            settle=self.settle,
            drains_in=self.drains_in,
            launch_binds=self.launch_binds,
            guards_deletion=self.guards_deletion,
            counts=self.counts,
            weighted=self.weighted,
            preview=self.preview,
            keeps_logs=self.keeps_logs,
            reachable_elsewhere=False,
            name="memory",
        )
        return provider.with_groups() if self.scales_itself else provider


def check_agreement(url: Url, found: Settings) -> None:
    """See that an address contradicts nothing that is settled already.

    Raises:
        InvalidInput: it does; names the options.
    """
    asked = Settings.parse(url)
    differing = [
        name for name, _ in url.options if getattr(asked, name) != getattr(found, name)
    ]
    if differing:
        raise InvalidInput(
            f"{url} contradicts the world of that name: {', '.join(differing)}",
            hint="give another name, or forget() that world first",
        )
