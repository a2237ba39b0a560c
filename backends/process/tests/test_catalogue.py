"""Channels, revocation and bisect with real processes, a real switch and a real ledger."""

import multiprocessing
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from process_tools import backend_in, eventually, recipe_of, serving
from searching import search

import immutable
from immutable import errors
from immutable.bisecting import bisect
from immutable.images.catalogue.channelling import channel, promote
from immutable.images.catalogue.revoking import revoke
from immutable.registry import open_backend, open_switch

pytestmark = pytest.mark.haproxy
RELEASES = ("good-1", "good-2", "bad-3", "bad-4")


@pytest.fixture
def service(place: Path) -> Iterator[immutable.Service]:
    """Return a service of two processes; everything of it is gone afterwards."""
    with serving(place) as made:
        yield made


def is_good(target: immutable.Target) -> immutable.Verdict:
    """Ask the fleet on the preview route."""
    return immutable.http("/", contains="good")(target)


def fleets(place: Path) -> set[str]:
    """Return the fleets that have processes."""
    return {instance.fleet for instance, _ in backend_in(place).machines.list()}


def test_the_first_bad_release_is_found_on_the_preview_route(
    service: immutable.Service, place: Path
) -> None:
    """By what the fleets really answer; afterwards nothing of the search is there."""
    for mark in RELEASES:
        immutable.deploy(service, recipe_of(mark, place)).raise_for_outcome()
    before = fleets(place)
    found = bisect(service, 1, 4, is_good)
    assert found.first_bad is not None
    assert found.first_bad.number == 3
    assert all(not trial.leftovers for trial in found.trials)
    assert fleets(place) == before


def test_a_search_that_is_killed_is_swept(
    service: immutable.Service, place: Path
) -> None:
    """Killed for real in the middle of a trial: production serves, sweep takes the rest."""
    flag = place / "flag"
    for mark in RELEASES[:3]:
        config = {"FLAG": str(flag)}
        recipe = recipe_of(mark, place)
        immutable.deploy(service, recipe, config=config).raise_for_outcome()
    before = fleets(place)
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=search, args=(service, 1, 3))
    process.start()
    name = eventually(lambda: (flag.exists() and flag.read_text()) or None, "the trial")
    os.kill(process.pid or 0, signal.SIGKILL)
    process.join()
    assert fleets(place) == {*before, name}
    immutable.sweep(service).raise_for_outcome()
    assert fleets(place) == before
    switch = open_switch(
        service.switch, open_backend(service.backend), service.name, port=8080
    )
    assert switch.read().routing.preview is None


def test_a_revoked_image_is_stopped_by_a_ledger_on_disk(
    service: immutable.Service, place: Path
) -> None:
    """What one call has written, another one obeys; a channel leads to the very image."""
    recipe = recipe_of("one", place)
    done = immutable.deploy(service, recipe)
    assert done.release is not None
    image = promote(done.release.image, "proctest/stable", ledger=service)
    assert channel("proctest/stable", ledger=service) == image
    revoke(image, "it answers too slowly", ledger=service, by="ann")
    assert isinstance(immutable.scale(service, 3).error, errors.Revoked)
    with pytest.raises(errors.Revoked, match="too slowly"):
        channel("proctest/stable", ledger=service)
    assert immutable.deploy(service, recipe_of("two", place)).is_live
    assert isinstance(immutable.rollback(service).error, errors.Revoked)
    assert immutable.rollback(service, allow_revoked="two is slower").is_live
