"""Building upon an image: refused where it is revoked, before anything is built."""

from collections.abc import Iterator

import pytest

import immutable
from immutable.errors import Revoked, UnknownImage
from immutable.images.catalogue.revoking import revoke
from immutable.registry import open_backend
from immutable.testing import forget

BASE = immutable.Recipe.base("debian:12").packages("openssl")


@pytest.fixture(autouse=True)
def fresh_world() -> Iterator[None]:
    """Let every test begin in a world in which nothing exists."""
    forget()
    yield
    forget()


@pytest.fixture
def shop() -> immutable.Service:
    """Return a service of a cloud inside this program."""
    return immutable.Service("shop", backend="memory://", ports=8080)


def test_a_deployment_upon_a_revoked_image_is_refused(shop: immutable.Service) -> None:
    """Its layers would be those of the revoked one; a good one is built upon."""
    base = immutable.build(BASE, backend="memory://")
    upon = immutable.Recipe.on(base).run("true")
    done = immutable.deploy(shop, upon)
    assert done.is_live
    assert done.release is not None
    assert done.release.image.parent == base.id
    revoke(base, "CVE-2026-0001", ledger=shop)
    refused = immutable.deploy(shop, upon.run("false"))
    assert refused.outcome is immutable.Outcome.REFUSED
    assert isinstance(refused.error, Revoked)
    assert "CVE-2026-0001" in str(refused.error)


def test_a_build_asks_the_ledger_that_it_is_given(shop: immutable.Service) -> None:
    """Without one nobody can know of revocations."""
    base = immutable.build(BASE, backend="memory://")
    upon = immutable.Recipe.on(base).run("true")
    revoke(base, "leaked key", ledger=shop)
    with pytest.raises(Revoked, match="leaked key"):
        immutable.build(upon, backend="memory://", ledger=shop)
    assert immutable.build(upon, backend="memory://").parent == base.id


def test_an_image_that_is_gone_cannot_be_built_upon(shop: immutable.Service) -> None:
    """The error names it."""
    base = immutable.build(BASE, backend="memory://")
    open_backend("memory://").images.delete(base.id)
    with pytest.raises(UnknownImage, match=base.id):
        immutable.build(
            immutable.Recipe.on(base).run("true"), backend="memory://", ledger=shop
        )
