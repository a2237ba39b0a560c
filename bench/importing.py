"""What ``import immutable`` costs a program, and what it must not drag in."""

import functools
import json
import subprocess
import sys

import attrs

from bench.figures import Figure, Target, compared, counted
from bench.sampling import take_turns, timed
from bench.settings import Settings

STRANGERS = (
    "azure",
    "boto3",
    "botocore",
    "cattrs",
    "google",
    "libcloud",
    "libvirt",
    "pandas",
    "rich",
    "sqlalchemy",
    "sqlite3",
)
_NOTHING, _PEERS, _OURS = "pass", "import attrs, tenacity", "import immutable"
_LIST = "import json, sys, immutable; print(json.dumps(sorted(sys.modules)))"


def measure(settings: Settings) -> tuple[Figure, ...]:
    """Return the import's cost over bare Python, and how many strangers it loads."""
    codes = (_NOTHING, _PEERS, _OURS)
    acts = [timed(functools.partial(_python, code)) for code in codes]
    take_turns(1, *acts)
    bare, peers, ours = take_turns(settings.turns(25), *acts)
    over = [one - floor for one, floor in zip(ours, bare, strict=True)]
    peers_over = [one - floor for one, floor in zip(peers, bare, strict=True)]
    loaded = json.loads(_python(_LIST))
    return (
        compared(
            "import.over_bare_python",
            "ms",
            over,
            peers_over,
            beside="import attrs, tenacity",
            target=Target(limit=100),
        ),
        compared("import.process", "ms", ours, bare, beside="python -c pass"),
        _strangers(sorted(set(loaded) & set(STRANGERS))),
    )


def _strangers(found: list[str]) -> Figure:
    target = Target(limit=0, required=True)
    figure = counted("import.strangers", len(found), target=target)
    return attrs.evolve(figure, beside=" ".join(found) or f"of {len(STRANGERS)}")


def _python(code: str) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
