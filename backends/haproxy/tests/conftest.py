import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from haproxy_tools import Servers, Switches


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    """Start little HTTP servers, and end those that are left."""
    started = Servers(tmp_path)
    yield started
    started.end()


@pytest.fixture
def switches(tmp_path: Path) -> Iterator[Switches]:
    """Open switches in directories of their own, and shut them down."""
    opened = Switches(tmp_path)
    yield opened
    opened.end()
