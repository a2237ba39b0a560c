"""Rules of a load balancer: which request goes where."""

import ipaddress
import re
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

import attrs

from emulators.plane.pools import Pool
from emulators.plane.wire import Request, Response


@attrs.frozen(kw_only=True)
class Condition:
    """One condition of a rule: any of its values will do."""

    field: str
    """path, host, header, method, source or query."""
    values: tuple[str, ...]
    name: str = ""
    """Of a header."""

    def met_by(self, request: Request) -> bool:
        """Return whether a request is as this asks."""
        return any(_TESTS[self.field](self, request, value) for value in self.values)


@attrs.frozen(kw_only=True)
class Share:
    """A pool, and how much of the traffic it gets, relative to the others."""

    pool: Pool
    weight: int = 1


@attrs.frozen(kw_only=True)
class Action:
    """What happens to a request: forwarded to one of the pools, or answered."""

    shares: tuple[Share, ...] = ()
    fixed: Response | None = None


@attrs.frozen(kw_only=True)
class Rule:
    """An action for those requests that meet all the conditions."""

    action: Action
    conditions: tuple[Condition, ...] = ()

    def takes(self, request: Request) -> bool:
        """Return whether it is for this request."""
        return all(condition.met_by(request) for condition in self.conditions)


@attrs.frozen(kw_only=True)
class Table:
    """All the rules of a listener, the first to be asked first; the last takes all."""

    rules: tuple[Rule, ...] = ()

    def action_for(self, request: Request) -> Action | None:
        """Return what happens to a request."""
        return next((rule.action for rule in self.rules if rule.takes(request)), None)

    @property
    def pools(self) -> tuple[Pool, ...]:
        """Return every pool that it names."""
        return tuple(share.pool for rule in self.rules for share in rule.action.shares)


def _wild(pattern: str, text: str) -> bool:
    """Match ``*`` and ``?``, and nothing else."""
    escaped = re.escape(pattern).replace(r"\*", ".*").replace(r"\?", ".")
    return re.fullmatch(escaped, text, re.DOTALL) is not None


def _is_path(_: Condition, request: Request, value: str) -> bool:
    return _wild(value, request.path.partition("?")[0])


def _is_host(_: Condition, request: Request, value: str) -> bool:
    host = request.headers.get("host", "").partition(":")[0]
    return _wild(value.lower(), host.lower())


def _is_header(condition: Condition, request: Request, value: str) -> bool:
    found = request.headers.get(condition.name.lower())
    return found is not None and _wild(value.lower(), found.lower())


def _is_method(_: Condition, request: Request, value: str) -> bool:
    return request.method == value


def _is_source(_: Condition, request: Request, value: str) -> bool:
    network = ipaddress.ip_network(value, strict=False)
    return ipaddress.ip_address(request.source) in network


def _is_query(condition: Condition, request: Request, value: str) -> bool:
    pairs = parse_qsl(request.path.partition("?")[2], keep_blank_values=True)
    return any(
        _wild(value.lower(), found.lower())
        for name, found in pairs
        if condition.name in ("", name)
    )


_Test = Callable[[Condition, Request, str], bool]
_TESTS: Mapping[str, _Test] = {
    "path": _is_path,
    "host": _is_host,
    "header": _is_header,
    "method": _is_method,
    "source": _is_source,
    "query": _is_query,
}
