"""What an oracle raises: the rule that was broken, and how to see it again."""

from collections.abc import Callable

from immutable.testing.trace import Trace


class Violation(AssertionError):
    """A rule was broken. The same seed and the same code break it again.

    Args:
        rule: its short name, as in `immutable.testing.oracles`.
        message: what happened, to what.
        seed: of the simulation.
        tail: the last lines of its trace.
    """

    def __init__(
        self, rule: str, message: str, *, seed: int = 0, tail: str = ""
    ) -> None:
        super().__init__(f"{rule}: {message} (seed {seed})\n{tail}")
        self.rule = rule
        self.message = message
        self.seed = seed
        self.tail = tail

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle with every field: violations cross process boundaries."""
        return _rebuild, (self.rule, self.message, self.seed, self.tail)


def _rebuild(rule: str, message: str, seed: int, tail: str) -> Violation:
    return Violation(rule, message, seed=seed, tail=tail)


class Judge:
    """Makes the violations of one simulation, with what its trace says last."""

    def __init__(
        self, seed: int, trace: Trace, remember: Callable[[Violation], None]
    ) -> None:
        self.seed = seed
        self._trace = trace
        self._remember = remember

    def condemn(self, rule: str, message: str) -> Violation:
        """Return the violation to raise; whoever catches it does not make it undone."""
        tail = self._trace.tail()
        violation = Violation(rule, message, seed=self.seed, tail=tail)
        self._remember(violation)
        return violation
