# ruff: noqa: INP001 - a program, started by its path
"""Run pip as if on another machine: markers are those of the image, not of this one.

pip's own options choose the image's wheels (``--platform``, ``--python-version``), but
markers such as ``python_version < "3.13"`` are evaluated for the Python that runs it:
https://pip.pypa.io/en/stable/cli/pip_download, ``--python-version``.

usage: pip_elsewhere.py MARKERS.json ARGUMENT...
"""

import json
import sys
from pathlib import Path

from pip._internal.cli.main import main
from pip._vendor.packaging import markers


def main_elsewhere(arguments: list[str]) -> int:
    """Return pip's status."""
    environment = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    if not hasattr(markers, "default_environment"):
        sys.exit("this pip evaluates markers in a way not known here: use pip 23 to 26")
    markers.default_environment = lambda: dict(environment)
    return main(arguments[1:])


if __name__ == "__main__":
    sys.exit(main_elsewhere(sys.argv[1:]))
