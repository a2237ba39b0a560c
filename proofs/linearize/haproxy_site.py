"""One real HAProxy that all histories share."""

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from immutable.model import ServiceName
from immutable.testing.linearizability import Answer, Operation
from immutable.urls import Url
from proofs.linearize.clients import HEALTH, set_up
from proofs.linearize.map_model import Restart
from proofs.sigkill.ports import free_port

if TYPE_CHECKING:
    from immutable_haproxy import HAProxySwitch


@attrs.frozen(kw_only=True)
class Site:
    """One HAProxy that all histories share, each beginning where the last one ended."""

    directory: Path
    listen: str

    def switch(self) -> "HAProxySwitch":
        """Return the switch, for one client."""
        from immutable_haproxy import open_switch

        options = {"directory": str(self.directory), "listen": self.listen}
        url = Url(scheme="haproxy", options=options)
        return open_switch(url, service=ServiceName("linearize"), port=HEALTH.port)

    def process(self) -> int:
        """Return HAProxy's process, or 0."""
        from immutable_haproxy.supervisor import holder_of

        return holder_of(str(self.directory / "haproxy.lock"))


@contextmanager
def site() -> Iterator[Site]:
    """Set HAProxy up, and take it away again."""
    with tempfile.TemporaryDirectory(prefix="immutable-linearize-") as name:
        made = Site(directory=Path(name) / "s", listen=f"127.0.0.1:{free_port()}")
        try:
            set_up(made.switch())
            yield made
        finally:
            made.switch().shut_down()


def kill(place: Site, after_s: float) -> Operation[Restart, Answer]:
    """Kill HAProxy after a moment, and return what that is to the register."""
    time.sleep(after_s)
    called = time.monotonic()
    with suppress(ProcessLookupError):
        if number := place.process():
            os.kill(number, signal.SIGKILL)
    return Operation(process="killer", call=Restart(), called=called)
