"""The emulated AWS as tests and benches hold it: a process of its own."""

import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlencode

import attrs

from emulators.aws.settings import Settings
from emulators.aws.spoiling import When
from emulators.plane.behaviour import Behaviour

_TIMEOUT_S = 60.0
_ROOT = Path(__file__).parents[2]


@attrs.frozen(kw_only=True)
class Calls:
    """What was called, counted at the server."""

    total: int
    counts: Mapping[str, int]
    """By service and operation, such as ``ec2:RunInstances``."""
    errors: Mapping[str, int]
    """By service, operation and error code."""
    trace: tuple[Mapping[str, object], ...]
    """Each call in order: name, at, took, status, error, key."""


@attrs.frozen(kw_only=True)
class Emulator:
    """A running emulator. Everything about AWS itself goes through ``url``."""

    url: str
    """The endpoint of every service."""
    network: str
    """The block of loopback addresses that is this emulator's: for the CIDR of VPCs."""

    def reset(self) -> None:
        """Forget everything, the settings' changes too."""
        self._ask("reset")

    def configure(self, **settings: float | str) -> None:
        """Change settings until the next reset; see ``Settings``."""
        self._ask("configure", settings=json.dumps(settings))

    def calls(self, *, clear: bool = False) -> Calls:
        """Return what was called since the last reset or clearing."""
        found = self._ask("calls", **({"clear": "1"} if clear else {}))
        return Calls(
            total=int(found["total"]),
            counts=found["counts"],
            errors=found["errors"],
            trace=tuple(found["trace"]),
        )

    def cut(self, name: str = "", *, when: When = "after", skip: int = 0) -> None:
        """Cut the connection of a call to come, before its effect or after it.

        Args:
            name: what the call's name begins with, such as ``ec2:Run``; any call if empty.
            when: before its effect, or after it.
            skip: so many calls that fit are let through first.
        """
        self._ask("cut", name=name, when=when, skip=str(skip))

    def cuts_left(self) -> int:
        """Return how many cuts have not come yet: nothing was cut that is left."""
        return int(self._ask("state")["cuts"])

    def behave(self, image: str, behaviour: Behaviour | str) -> None:
        """Say what instances do that boot from an image, from now on."""
        self._ask("behave", image=image, words=_words(behaviour))

    def change(self, instance: str, behaviour: Behaviour | str) -> None:
        """Say what one running instance does, from now on."""
        self._ask("change", instance=instance, words=_words(behaviour))

    def kill(self, instance: str, *, state: str = "") -> None:
        """Kill an instance's application; with a state, the instance itself."""
        self._ask("kill", instance=instance, state=state)

    def address_of(self, listener: str) -> str:
        """Return the URL at which a listener is reached, by its ARN."""
        return str(self._ask("state")["listeners"][listener])

    def probes(self) -> Mapping[str, int]:
        """Return how many probes each target group has made, by its ARN."""
        found: Mapping[str, int] = self._ask("state")["pools"]
        return found

    def bugs(self) -> tuple[str, ...]:
        """Return what went wrong in the emulator itself: nothing, if a test is to count."""
        return tuple(str(each) for each in self._ask("state")["bugs"])

    def machines(self) -> Mapping[str, Mapping[str, object]]:
        """Return what is known of each machine, by its instance's id."""
        found: Mapping[str, Mapping[str, object]] = self._ask("state")["machines"]
        return found

    def _ask(self, verb: str, **asked: str):  # type: ignore[no-untyped-def]  # noqa: ANN202 - JSON
        url = f"{self.url}/__emulator/{verb}?{urlencode(asked)}"
        return _get(url)


@contextlib.contextmanager
def start(settings: Settings | None = None) -> Iterator[Emulator]:
    """Run an emulator on a free port of 127.0.0.1 for as long as the block runs.

    Raises:
        RuntimeError: it did not come up.
    """
    chosen = (settings or Settings()).spell()
    argv = [sys.executable, "-m", "emulators.aws", "--child", "--settings", chosen]
    process = subprocess.Popen(
        argv, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        url = process.stdout.readline().strip() if process.stdout else ""
        if not url:
            raise RuntimeError(f"the emulator did not start: {process.poll()}")
        yield _ready(url)
    finally:
        _end(process)


def _ready(url: str) -> Emulator:
    return Emulator(url=url, network=_get(f"{url}/__emulator/state")["network"])


def _get(url: str):  # type: ignore[no-untyped-def]  # noqa: ANN202 - JSON of any shape
    # the URL is the one that the program printed which was started here
    with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:
        return json.load(answer)


def _end(process: "subprocess.Popen[str]") -> None:
    with process:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_TIMEOUT_S)
            return
        process.kill()


def _words(behaviour: Behaviour | str) -> str:
    return behaviour if isinstance(behaviour, str) else behaviour.spell()
