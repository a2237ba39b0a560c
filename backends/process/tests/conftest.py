"""A place for each test; what is left running in it is ended."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import process_tools


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """Return a directory; instances that are left in it are destroyed."""
    yield tmp_path
    process_tools.clear(tmp_path)
