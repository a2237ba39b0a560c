"""Faults at the wire: a proxy in front of the emulator that throttles, cuts and delays.

The proxy is ``microburst``: it knows AWS's protocols, so that an error looks as the service's
own. What it does to a call is decided by rules, the first that fits.
"""

import contextlib
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import attrs

from emulators.aws.handle import Emulator

_TIMEOUT_S = 180.0
"""Its first call takes seconds, and minutes on a machine that many share."""


@attrs.frozen(kw_only=True)
class Fault:
    """What is to happen to calls of one operation; exactly one of the kinds."""

    service: str
    """As botocore names it: ``ec2``, ``autoscaling``, ``elbv2``, ``s3``."""
    operation: str
    times: int | None = 1
    """How many calls; None for all of them."""
    error: str | None = None
    """The code to answer with, before the call has any effect."""
    status: int = 400
    is_reset: bool = False
    """Whether the connection is reset before the call has any effect."""
    is_cut: bool = False
    """Whether the answer is cut off after the call has had its effect."""
    delay_s: float | None = None
    """How long the answer is held back."""

    def told(self) -> dict[str, object]:
        """Return it as a rule of microburst's."""
        rule: dict[str, object] = {
            "service": self.service,
            "operation": self.operation,
        }
        rule |= {"times": self.times} if self.times is not None else {}
        if self.error is not None:
            rule["error"] = {"code": self.error, "status": self.status}
        if self.is_reset:
            rule["reset"] = True
        if self.is_cut:
            rule["response"] = {"abort_frac": 0.5}
        if self.delay_s is not None:
            rule["latency"] = dict.fromkeys(("min", "max"), 1000 * self.delay_s)
        return rule


@attrs.frozen(kw_only=True)
class Proxy:
    """A running proxy: an endpoint like the emulator's own."""

    url: str

    def inject(self, *faults: Fault) -> None:
        """Let faults happen from now on, beside those there are."""
        for fault in faults:
            self._ask("PATCH", "rules", [fault.told()])

    def clear(self) -> None:
        """Let none happen, and forget what has."""
        self._ask("DELETE", "rules", [])
        self._ask("DELETE", "fired")

    def fired(self) -> list[object]:
        """Return what has happened, in order."""
        found = self._ask("GET", "fired")
        return found if isinstance(found, list) else []

    def _ask(self, method: str, path: str, body: object = None) -> object:
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(
            f"{self.url}/_microburst/{path}",
            data=data,
            method=method,
            headers={"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
            text = answer.read()
        found: object = json.loads(text) if text else None
        return found


@contextlib.contextmanager
def before(emulator: Emulator) -> Iterator[Proxy]:
    """Run a proxy before an emulator for as long as the block runs.

    Raises:
        TimeoutError: it did not come up.
    """
    port = _free_port()
    options = ["--host", "127.0.0.1", "--port", str(port), "--upstream", emulator.url]
    argv = [sys.executable, "-m", "microburst", *options]
    process = subprocess.Popen(
        argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        proxy = _ready(Proxy(url=f"http://127.0.0.1:{port}"), process)
        _warm(proxy)
        yield proxy
    finally:
        # it has nothing to lose, and would wait for connections to end
        process.kill()
        process.wait(_TIMEOUT_S)


def _ready(proxy: Proxy, process: "subprocess.Popen[bytes]") -> Proxy:
    deadline = time.monotonic() + _TIMEOUT_S
    while process.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError, urllib.error.URLError):
            proxy.fired()
            return proxy
        time.sleep(0.05)
    raise TimeoutError(f"microburst did not come up: {process.poll()}")


def _warm(proxy: Proxy) -> None:
    """Have it answer a call by itself: the first one takes seconds."""
    proxy.inject(Fault(service="ec2", operation="DescribeRegions", error="Warm"))
    scope = "Credential=warm/20260101/eu-west-1/ec2/aws4_request"
    request = urllib.request.Request(
        proxy.url,
        data=b"Action=DescribeRegions&Version=2016-11-15",
        headers={"authorization": f"AWS4-HMAC-SHA256 {scope}, Signature=0"},
    )
    with contextlib.suppress(urllib.error.HTTPError):
        urllib.request.urlopen(request, timeout=_TIMEOUT_S).close()
    proxy.clear()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port
