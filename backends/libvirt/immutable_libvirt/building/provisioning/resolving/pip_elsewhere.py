# ruff: noqa: INP001 - a program, started by its path
"""Run pip as if on another machine: markers are those of the image, not of this one.

pip's own options choose the image's wheels (``--platform``, ``--python-version``), but
markers such as ``python_version < "3.13"`` are evaluated for the Python that runs it:
https://pip.pypa.io/en/stable/cli/pip_download, ``--python-version``.

usage: pip_elsewhere.py MARKERS.json ARGUMENT...
"""

import json
import sys
from importlib import import_module
from pathlib import Path


def main_elsewhere(arguments: list[str]) -> int:
    """Return pip's status."""
    environment = json.loads(Path(arguments[0]).read_text(encoding="utf-8"))
    # By name: pip has no types, and is not there where types are checked.
    markers = import_module("pip._vendor.packaging.markers")
    main = import_module("pip._internal.cli.main").main
    if not hasattr(markers, "default_environment"):
        sys.exit("this pip evaluates markers in a way not known here: use pip 23 to 26")
    setattr(markers, "default_environment", lambda: dict(environment))  # noqa: B010 - a module is no object with known names
    status: int = main(arguments[1:])
    return status


if __name__ == "__main__":
    sys.exit(main_elsewhere(sys.argv[1:]))
