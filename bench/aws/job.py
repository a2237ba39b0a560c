"""What each contender is told, and what it cost."""

import json
from collections.abc import Mapping

import attrs

POLL_S = 5.0
"""How often the floor looks, and ours by default. Ansible's modules look every ten seconds."""


@attrs.frozen(kw_only=True)
class Job:
    """One deployment: of which image, where, and what it replaces."""

    image: str
    size: int
    listener: str
    subnets: tuple[str, ...]
    vpc: str
    ledger: str = ""
    """Where ours keeps it; the others keep nothing."""
    old: str = ""
    """The release that goes, by name; none at the first deployment."""
    new: str = "bench-1"
    drain_s: int = 1
    region: str = "eu-west-1"

    @classmethod
    def parse(cls, text: str) -> "Job":
        """Read what ``spell`` writes."""
        told = json.loads(text)
        return cls(**{**told, "subnets": tuple(told["subnets"])})

    def spell(self) -> str:
        """Return it as one argument of a program."""
        return json.dumps(attrs.asdict(self))


@attrs.frozen(kw_only=True)
class Cost:
    """What a contender took for a whole deployment."""

    counts: Mapping[str, int]
    """Calls by operation, as the server counted them; those beside the work left out."""
    beside: Mapping[str, int]
    """Calls that check before, or keep evidence: the others make none."""
    wall_s: float
    cpu_s: float
    """Of the program and what it started; that of starting it included."""

    @property
    def calls(self) -> int:
        """Return how many calls the work took."""
        return sum(self.counts.values())
