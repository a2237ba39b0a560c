from pathlib import Path

import pytest

from immutable.testing import conformance, world
from immutable.testing.conformance.book import Book


@pytest.fixture(scope="module", params=["sqlite", "memory", "book"])
def ledger_subject(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> conformance.LedgerSubject:
    """Return each ledger store that the core has, and the kit's own."""
    path: Path = tmp_path_factory.mktemp("ledger") / "ledger.db"
    book = Book()
    stores = {
        "sqlite": f"sqlite:///{path}",
        "memory": lambda: world("memory://ledger").ledger,
        "book": lambda: book,
    }
    return conformance.LedgerSubject(ledger=stores[request.param], name=request.param)


test_ledger = conformance.ledger_cases()
