"""What an ``alb://`` or ``nlb://`` URL says: typed, checked, without I/O.

alb://eu-west-1?load_balancer=web&hosts=shop.example.com&band=10000-19999
nlb://eu-west-1?load_balancer=web&listen=443&checks=9000-9009
"""

import ipaddress
import re
from datetime import timedelta
from typing import Self

import attrs

from immutable.durations import duration
from immutable.errors import InvalidInput
from immutable.model import ServiceName
from immutable.urls import Url
from immutable_aws.config import place_of
from immutable_aws.rules.rule import HOST, PATH, Condition
from immutable_aws.rules.slots import Band, Layout
from immutable_aws.session import Place

PRIVATE = ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")
_COMMON = (
    "account",
    "drain",
    "listen",
    "listener",
    "load_balancer",
    "profile",
    "propagation",
    "staleness",
)
_BAND = Band(first=10_000, last=40_000)
_CHECKS = range(9000, 9010)
_HIGHEST_PORT = 65_535
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/load-balancer-limits.html
_MOST_VALUES = 5
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/listener-rules.html
_MOST_OF_ONE = 3
_WILD = frozenset("*?")
_LONGEST_VALUE = 128
_WIDEST = {4: 8, 6: 7}
_DRAIN = timedelta(seconds=30)
_PROPAGATION = timedelta(seconds=10)
# "the NLB keeps sending requests … to the previous targets for ~75 seconds" after a change of
# its listener, and serves badly for half a minute when that is undone:
# https://github.com/aws/containers-roadmap/issues/470
_POINTED = timedelta(seconds=120)
_STALENESS = timedelta(seconds=5)
_LONGEST_DRAIN = timedelta(hours=1)


@attrs.frozen(kw_only=True)
class ListenerConfig:
    """Which listener, how long requests take, and how slow AWS may be.

    Args:
        place: region, profile and account.
        load_balancer: its name; None: the service's name.
        listener: its ARN; None: found by ``listen``.
        listen: the listener's port; None: the only listener, or that at the service's
            port.
        drain: how long requests in flight may still take: the deregistration delay of
            target groups. Give the service the same.
        propagation: how long after a change a node of the load balancer may still do as
            before. AWS states no bound: 10 seconds are assumed of a rule, 120 of a
            listener that is pointed elsewhere.
        staleness: how old AWS's answers may be. AWS states no bound: 5 seconds are
            assumed.
    """

    place: Place
    load_balancer: str | None = None
    listener: str | None = None
    listen: int | None = None
    drain: timedelta = attrs.field(default=_DRAIN, converter=duration)
    propagation: timedelta = attrs.field(default=_PROPAGATION, converter=duration)
    staleness: timedelta = attrs.field(default=_STALENESS, converter=duration)

    @drain.validator
    def _is_possible(self, _attribute: object, value: timedelta) -> None:
        if value > _LONGEST_DRAIN:
            hint = "a deregistration delay is at most one hour"
            raise InvalidInput(f"drain={value} is too long", hint=hint)

    @property
    def settle(self) -> timedelta:
        """Return how long after a write older routings are served, to their last answer."""
        return self.propagation + self.drain

    @classmethod
    def parse(cls, url: Url, *, propagation: timedelta = _PROPAGATION) -> Self:
        """Read what both schemes have in common.

        Args:
            url: what was told.
            propagation: what is assumed where the URL says nothing.

        Raises:
            InvalidInput: it names no region, or something is no number.
        """
        options = dict(url.options)
        listen = options.get("listen")
        return cls(
            place=place_of(url),
            load_balancer=options.get("load_balancer"),
            listener=options.get("listener"),
            listen=None
            if listen is None
            else _span("listen", listen, _HIGHEST_PORT)[0],
            drain=options.get("drain", _DRAIN),
            propagation=options.get("propagation", propagation),
            staleness=options.get("staleness", _STALENESS),
        )


@attrs.frozen(kw_only=True)
class AlbConfig:
    """What an `AlbSwitch` is told.

    Args:
        listening: which listener.
        band: which priorities of the listener are this service's alone.
        hosts: of the requests that this service gets; none: every one.
        paths: likewise; ``*`` and ``?`` are wild.
        preview_from: networks from which a previewed fleet may be reached, at most three.
    """

    listening: ListenerConfig
    band: Band = _BAND
    hosts: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    preview_from: tuple[str, ...] = PRIVATE

    @classmethod
    def parse(cls, url: Url) -> Self:
        """Read ``alb://region?option=…``; options of several values take commas.

        Raises:
            InvalidInput: it says what nobody would read, or AWS would not take.
        """
        url.require_known(*_COMMON, "band", "hosts", "paths", "preview_from")
        options = dict(url.options)
        hosts, paths = _several(options.get("hosts")), _several(options.get("paths"))
        _check_values(hosts, paths)
        sources = _several(options.get("preview_from")) or PRIVATE
        return cls(
            listening=ListenerConfig.parse(url),
            band=_band(options.get("band")),
            hosts=tuple(host.lower() for host in hosts),
            paths=paths,
            preview_from=tuple(_network(source) for source in _few(sources)),
        )

    @property
    def named_host(self) -> str | None:
        """Return the first of ``hosts`` that is one host's name; None: there is none."""
        return next((h for h in self.hosts if not _WILD & set(h)), None)

    def layout(self, service: ServiceName) -> Layout:
        """Return what of the listener is the service's."""
        paths = self.paths or (() if self.hosts else ("*",))
        told = ((HOST, self.hosts), (PATH, paths))
        return Layout(
            service=service,
            band=self.band,
            conditions=tuple(Condition(field=f, values=v) for f, v in told if v),
            sources=self.preview_from,
        )


@attrs.frozen(kw_only=True)
class NlbConfig:
    """What a `ListenerSwitch` is told.

    Args:
        listening: which listener.
        checks: ports of the load balancer on which listeners are made, one for each
            attached fleet, so that it is probed before it gets traffic. Keep strangers
            away from them by the load balancer's security group.
    """

    listening: ListenerConfig
    checks: range = _CHECKS

    @classmethod
    def parse(cls, url: Url) -> Self:
        """Read ``nlb://region?option=…``.

        Raises:
            InvalidInput: it says what nobody would read.
        """
        url.require_known(*_COMMON, "checks")
        text = dict(url.options).get("checks")
        first, last = (
            (_CHECKS.start, _CHECKS.stop - 1)
            if text is None
            else _span("checks", text, _HIGHEST_PORT)
        )
        listening = ListenerConfig.parse(url, propagation=_POINTED)
        return cls(listening=listening, checks=range(first, last + 1))


def _band(text: str | None) -> Band:
    if text is None:
        return _BAND
    first, last = _span("band", text, Band.HIGHEST)
    return Band(first=first, last=last)


def _span(name: str, text: str, highest: int) -> tuple[int, int]:
    """Read ``first-last``, or one number."""
    found = re.fullmatch(r"(\d{1,5})(?:-(\d{1,5}))?", text)
    if found is None or not 1 <= int(found[1]) <= int(found[2] or found[1]) <= highest:
        hint = f"write {name}=first-last, of 1 to {highest}"
        raise InvalidInput(f"{name}={text!r} is no range", hint=hint)
    return int(found[1]), int(found[2] or found[1])


def _several(text: str | None) -> tuple[str, ...]:
    return tuple(word for word in (text or "").split(",") if word)


def _check_values(hosts: tuple[str, ...], paths: tuple[str, ...]) -> None:
    values = (*hosts, *paths)
    if len(values) > _MOST_VALUES or max(len(hosts), len(paths)) > _MOST_OF_ONE:
        hint = "give the others to a rule of your own, or use wildcards"
        taken = f"a rule takes {_MOST_VALUES}, and {_MOST_OF_ONE} of one kind"
        message = f"{len(hosts)} hosts and {len(paths)} paths: {taken}"
        raise InvalidInput(message, hint=hint)
    for value in values:
        if (
            len(value) > _LONGEST_VALUE
            or not value.isascii()
            or not value.isprintable()
        ):
            raise InvalidInput(f"{value!r:.80} is no host or path of a rule")


def _few(sources: tuple[str, ...]) -> tuple[str, ...]:
    if len(sources) <= _MOST_OF_ONE:
        return sources
    raise InvalidInput(
        f"{len(sources)} networks in preview_from, and a rule takes {_MOST_OF_ONE}"
    )


def _network(text: str) -> str:
    try:
        found = ipaddress.ip_network(text)
    except ValueError as exc:
        hint = "write it as 192.0.2.0/24"
        raise InvalidInput(f"{text!r} is no network", hint=hint) from exc
    if found.prefixlen < _WIDEST[found.version]:
        hint = "say where the deployer runs: a preview is not for everybody"
        raise InvalidInput(f"preview_from={text} is nearly everybody", hint=hint)
    return str(found)
