"""What tests of the switch share: fleets, and what is done with them."""

import urllib.error
import urllib.request
from datetime import timedelta

from ground import servers

from immutable.host import ThisHost
from immutable.model import (
    FleetName,
    Health,
    HealthCheck,
    LedgerId,
    Routing,
    ServiceName,
)

SERVICE, LEDGER = ServiceName("shop"), LedgerId("6f3c")
BLUE, GREEN = FleetName("shop-v1-aaaaaa"), FleetName("shop-v2-bbbbbb")
CHECK = HealthCheck(port=8080, path="/health")
DEFAULTS = {"preview_from": "127.0.0.0/8", "propagation": "0s", "staleness": "0s"}


class Later(ThisHost):
    """This machine, some time later."""

    passed = timedelta()

    def now(self):
        """Return the time then."""
        return super().now() + self.passed


def attach(switch, *fleets):
    """Give fleets places."""
    for fleet in fleets:
        switch.attach(fleet, health=CHECK, owner=LEDGER, expected=switch.read().version)


def write(switch, routing):
    """Write upon what is read now."""
    return switch.write(routing, owner=LEDGER, expected=switch.read().version)


def sent(account, act):
    """Return what is called during an act, and how often."""
    account.emulator.calls(clear=True)
    act()
    counts = account.emulator.calls().counts
    return {name.removeprefix("elbv2:"): n for name, n in counts.items()}


def tags_of(account, arn):
    """Return a resource's tags."""
    rows = account.elbv2.describe_tags(ResourceArns=[arn])["TagDescriptions"]
    return {tag["Key"]: tag["Value"] for tag in rows[0]["Tags"]}


def get(endpoint, **headers):
    """Return the status of a request."""
    given = dict(endpoint.headers) | headers
    request = urllib.request.Request(endpoint.url + "/", headers=given)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def serving(account, switch):
    """Have blue serve, and green ready to be previewed."""
    attach(switch, BLUE, GREEN)
    for fleet in (BLUE, GREEN):
        switch.join(fleet, servers(account, 1), drain=timedelta())
        wait_ready(switch, fleet)
    write(switch, Routing(weights={BLUE: 100}))


def wait_ready(switch, fleet):
    """Look until a fleet's members are ready."""
    for _ in range(2000):
        if all(p.health is Health.READY for p in switch.health(fleet)):
            return
    raise AssertionError(switch.health(fleet))


def age(account):
    """Make all rules as old as no call in flight can be."""
    for rule in account.rules():
        account.elbv2.add_tags(
            ResourceArns=[rule["RuleArn"]],
            Tags=[{"Key": "immutable-written", "Value": "0"}],
        )


def lag(account, switch):
    """From now on answer readings with what was before any further change."""
    account.emulator.configure(stale_s=100_000)
    switch().read()
