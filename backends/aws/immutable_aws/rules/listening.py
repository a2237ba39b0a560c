"""The listener that a switch is at, and its load balancer: looked up once, then kept.

An ARN says much by itself: of which load balancer a listener is, and of which type that is.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import attrs

from immutable.errors import BackendError, InvalidInput, Unsupported
from immutable.model import Endpoint, ServiceName
from immutable_aws.errors import NAME, said
from immutable_aws.rules.balancers import Balancer, balancer_of, balancing_of
from immutable_aws.session import Aws
from immutable_aws.switch_config import ListenerConfig

if TYPE_CHECKING:
    from mypy_boto3_elbv2.type_defs import ListenerTypeDef

LATE = timedelta(minutes=6)
"""A signed request dies five minutes after its time stamp; one is for clocks that differ.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html"""
HTTP = frozenset({"HTTP", "HTTPS"})
_ENCRYPTED = frozenset({"HTTPS", "TLS"})
_GONE = {"ListenerNotFound", "LoadBalancerNotFound"}
_OF_APPLICATION = ":listener/app/"


@attrs.frozen(kw_only=True)
class Listening:
    """What of a listener and its load balancer never changes."""

    arn: str
    load_balancer: str
    """Its ARN."""
    host: str
    """The load balancer's name in the DNS."""
    port: int
    protocol: str
    vpc: str

    def endpoint(self, headers: tuple[tuple[str, str], ...] = ()) -> Endpoint:
        """Return where clients connect."""
        return Endpoint(
            host=self.host,
            port=self.port,
            headers=headers,
            scheme="https" if self.protocol in _ENCRYPTED else "http",
        )


class Listener:
    """Finds a service's listener by what its config says. Finding it costs two calls.

    Where the config has the ARN of an Application Load Balancer's listener, less is enough
    for most.
    """

    def __init__(
        self, aws: Aws, config: ListenerConfig, service: ServiceName, *, port: int
    ) -> None:
        """Keep what to look for; ``port`` is the service's."""
        self._aws = aws
        self._balancing = balancing_of(aws)
        self._config = config
        self._name = config.load_balancer or service
        self._port = port
        self._found: Listening | None = None
        self._is_there = False
        named = config.listener or ""
        self._application = named if _OF_APPLICATION in named else None

    def find(self) -> Listening:
        """Return the listener.

        Raises:
            InvalidInput: there is none, or the config fits several.
        """
        if self._found is None:
            with self.expected():
                self._found = self._by_arn() if self._config.listener else self._named()
        return self._found

    def with_rules(self) -> str:
        """Return the ARN of the listener, which has rules; whoever asks for them `expected`.

        Raises:
            InvalidInput: there is none, or the config fits several.
            Unsupported: it has no rules.
        """
        if self._application:
            # "an Application Load Balancer's protocol is HTTP or HTTPS": model of
            # CreateListener, 2015-12-01
            return self._application
        check_http(self.find())
        return self.find().arn

    def balancer(self) -> Balancer:
        """Return the load balancer.

        Raises:
            InvalidInput: there is none.
        """
        with self.expected():
            named = self._application and balancer_of(self._application)
            return self._balancing.find(named or self.find().load_balancer)

    def siblings(self) -> tuple[Listening, ...]:
        """Return all listeners of the load balancer, this one among them; one call.

        Raises:
            InvalidInput: there is no such load balancer.
        """
        above = self.balancer()
        return tuple(_listening(row, above) for row in self._rows(above))

    @contextmanager
    def expected(self) -> Iterator[None]:
        """Make of the first answer that there is no listener what is wrong: the config.

        Raises:
            InvalidInput: it is not there.
        """
        try:
            yield
        except BackendError as exc:
            if said(exc) not in _GONE or self._is_there:
                raise
            hint = "make it first, or correct load_balancer= or listener="
            raise InvalidInput(exc.message, hint=hint, backend=NAME) from exc
        self._is_there = True

    def _by_arn(self) -> Listening:
        arn = self._config.listener or ""
        rows = self._aws.read(
            "elbv2.DescribeListeners",
            arn,
            lambda: self._aws.reads.elbv2.describe_listeners(ListenerArns=[arn]),
        )["Listeners"]
        return _listening(rows[0], self._balancing.find(rows[0]["LoadBalancerArn"]))

    def _named(self) -> Listening:
        above = self._balancing.find(self._name)
        return _listening(self._choose(self._rows(above)), above)

    def _rows(self, above: Balancer) -> "list[ListenerTypeDef]":
        pages = self._aws.reads.elbv2.get_paginator("describe_listeners")
        return self._aws.read(
            "elbv2.DescribeListeners",
            above.arn,
            lambda: list(pages.paginate(LoadBalancerArn=above.arn).search("Listeners")),
        )

    def _choose(self, rows: "list[ListenerTypeDef]") -> "ListenerTypeDef":
        wanted = self._config.listen
        if wanted is None and len(rows) == 1:
            return rows[0]
        found = [row for row in rows if row["Port"] == (wanted or self._port)]
        if found:
            return found[0]
        ports = ", ".join(str(row["Port"]) for row in rows) or "none"
        raise InvalidInput(
            f"load balancer {self._name} has no listener at {wanted or self._port}",
            hint=f"say listen=PORT; it listens at: {ports}",
            backend=NAME,
        )


def _listening(row: "ListenerTypeDef", above: Balancer) -> Listening:
    return Listening(
        arn=row["ListenerArn"],
        load_balancer=above.arn,
        host=above.host,
        port=row["Port"],
        protocol=row["Protocol"],
        vpc=above.vpc,
    )


def check_http(found: Listening) -> None:
    """Refuse a listener that has no rules.

    Raises:
        Unsupported: it is no Application Load Balancer's.
    """
    if found.protocol not in HTTP:
        raise Unsupported(
            f"the listener speaks {found.protocol}, and alb:// needs rules of HTTP",
            hint="use nlb://, which is weaker: docs/reference/aws-switch.md",
            resource=found.arn,
            backend=NAME,
        )
