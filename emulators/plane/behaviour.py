"""What the machines of an image do: said in one line, so that an image can carry it."""

import shlex
from collections.abc import Callable

import attrs

PORT = 8080
"""Where a machine listens unless its image says otherwise."""


@attrs.frozen(kw_only=True)
class Behaviour:
    """What a machine does that was booted from an image.

        Written as words: ``release=v2 port=8080 boot=2 slow=1 crash=5 halt=9 fail=/api/*
        delay=0.1
    sick deaf print="hello"``. All times are real seconds.
    """

    release: str = ""
    """What it calls itself in its answers; the image's id if empty."""
    ports: tuple[int, ...] = (PORT,)
    boot: float | None = None
    """Seconds until it runs; None for what the emulator has as its default."""
    slow: float = 0.0
    """Seconds from running until the application listens."""
    crash: float | None = None
    """Seconds from listening until the application dies; None for never."""
    halt: float | None = None
    """Seconds from running until the machine powers itself off; None for never."""
    delay: float = 0.0
    """Seconds that each answer takes."""
    fail: tuple[str, ...] = ()
    """Patterns of paths that are answered with 500."""
    stillborn: bool = False
    """Whether it ends instead of running: its provider could not start it."""
    sick: bool = False
    """Whether it answers everything with 503: it never becomes healthy."""
    deaf: bool = False
    """Whether the application never listens."""
    prints: tuple[str, ...] = ()
    """Lines for its console, after those of booting."""

    @classmethod
    def parse(cls, text: str) -> "Behaviour":
        """Read what ``spell`` writes.

        Raises:
            ValueError: a word is not known.
        """
        found: dict[str, list[str]] = {}
        for word in shlex.split(text):
            name, _, value = word.partition("=")
            if name not in _WORDS:
                raise ValueError(f"{word!r} is no behaviour; known: {sorted(_WORDS)}")
            found.setdefault(name, []).append(value)
        behaviour = cls()
        for name, values in found.items():
            behaviour = _WORDS[name](behaviour, values)
        return behaviour

    def spell(self) -> str:
        """Return it as words that ``parse`` reads."""
        words = [f"release={self.release}"] if self.release else []
        words += [f"port={port}" for port in self.ports]
        timed = {"boot": self.boot, "crash": self.crash, "halt": self.halt}
        words += [
            f"{name}={value}" for name, value in timed.items() if value is not None
        ]
        words += [f"slow={self.slow}"] if self.slow else []
        words += [f"delay={self.delay}"] if self.delay else []
        words += [f"fail={pattern}" for pattern in self.fail]
        words += ["stillborn"] if self.stillborn else []
        words += ["sick"] if self.sick else []
        words += ["deaf"] if self.deaf else []
        words += [f"print={line}" for line in self.prints]
        return shlex.join(words)


_Reader = Callable[[Behaviour, list[str]], Behaviour]

_WORDS: dict[str, _Reader] = {
    "release": lambda b, values: attrs.evolve(b, release=values[-1]),
    "port": lambda b, values: attrs.evolve(b, ports=tuple(int(v) for v in values)),
    "boot": lambda b, values: attrs.evolve(b, boot=float(values[-1])),
    "slow": lambda b, values: attrs.evolve(b, slow=float(values[-1])),
    "crash": lambda b, values: attrs.evolve(b, crash=float(values[-1])),
    "halt": lambda b, values: attrs.evolve(b, halt=float(values[-1])),
    "delay": lambda b, values: attrs.evolve(b, delay=float(values[-1])),
    "fail": lambda b, values: attrs.evolve(b, fail=tuple(values)),
    "stillborn": lambda b, _: attrs.evolve(b, stillborn=True),
    "sick": lambda b, _: attrs.evolve(b, sick=True),
    "deaf": lambda b, _: attrs.evolve(b, deaf=True),
    "print": lambda b, values: attrs.evolve(b, prints=tuple(values)),
}
