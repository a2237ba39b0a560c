"""Finding the first bad release: the search alone, and with fleets on the preview route."""

import math
import threading

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import immutable
from immutable import errors
from immutable.bisecting import between, bisect, choose
from immutable.images.catalogue.revoking import overrides, revoke
from immutable.images.catalogue.shelf import Shelf
from immutable.judging import VerdictStatus
from immutable.strategies import BlueGreen
from immutable.testing import Fault, Killed, Script, forget, world

WHERE = "memory://bisecting"
NAMES = tuple(f"i{number}" for number in range(1, 10))


@pytest.fixture
def lab():
    """Return a world of its own, ended afterwards."""
    forget(WHERE)
    yield world(WHERE)
    forget(WHERE)


def prepared(lab, names=NAMES, **settings):
    """Return a service with a release of each image."""
    strategy = BlueGreen(bake="0s", keep_warm="1m")
    shop = immutable.Service(
        "shop",
        backend=WHERE,
        ports=80,
        strategy=strategy,
        ready_timeout="20s",
        **settings,
    )
    for name in names:
        immutable.deploy(shop, lab.image(name)).raise_for_outcome()
    lab.wait("10m")
    immutable.heal(shop)
    return shop


@pytest.fixture
def shop(lab):
    """Return a service with nine releases, whose old fleets are gone."""
    return prepared(lab)


def bad_from(first):
    """Return a check that fails from a release on."""
    return lambda target: int(target.release.image.id[1:]) < first


def check_clean(lab, shop, before):
    """See that production is as it was, and that nothing else is there."""
    view = lab.switch("shop").read()
    assert view.routing.preview is None
    assert view.routing.weights == before.routing.weights
    assert [a.fleet for a in view.attachments] == [a.fleet for a in before.attachments]
    live = {fleet for fleet, _ in view.routing.weights}
    assert {server.fleet for server in lab.servers()} == live
    assert Shelf(lab.ledger, lab.host).load().leases == ()


@pytest.mark.parametrize("first", range(2, 10))
def test_the_first_bad_release_is_found(lab, shop, first):
    """In as many trials as halving takes, and production is not touched."""
    before = lab.switch("shop").read()
    seen = []

    def check(target):
        view = lab.switch("shop").read()
        assert view.routing.preview == target.fleet
        assert view.routing.weights == before.routing.weights
        assert not target.live
        assert len(target.instances) == 1
        seen.append(target.release.number)
        return bad_from(first)(target)

    found = bisect(shop, 1, 9, check)
    assert found.first_bad.number == first
    assert found.good.number == first - 1
    assert [t.release.number for t in found.trials] == seen
    assert len(seen) <= math.ceil(math.log2(8))
    assert f"the first bad release is v{first}" in str(found)
    check_clean(lab, shop, before)
    assert immutable.sweep(shop).steps == ()


def test_what_is_undecided_is_passed_over(lab, shop):
    """The next nearest is tried, and the answer is as narrow as it can be."""

    def check(target):
        number = target.release.number
        return None if number in {5, 6} else number < 5

    found = bisect(shop, 1, 9, check)
    assert found.first_bad is None
    assert [release.number for release in found.suspects] == [5, 6, 7]
    assert found.good.number == 4
    assert "among v5, v6, v7" in str(found)
    assert [t.release.number for t in found.trials] == [5, 4, 6, 7]


def test_a_check_that_raises_or_answers_late_is_a_verdict(lab, shop):
    """As of any validator: an exception is bad."""

    def check(target):
        if target.release.number >= 4:
            raise RuntimeError("no such table")
        return True

    found = bisect(shop, 1, 9, check)
    assert found.first_bad.number == 4
    assert any("no such table" in t.verdict.evidence for t in found.trials)


def test_what_cannot_be_tried_is_undecided(lab, shop):
    """Images that are gone, changed, revoked, or never become ready."""
    before = lab.switch("shop").read()
    del lab._cloud.images["i5"]
    changed = attrs.evolve(lab._cloud.images["i4"], digest="0" * 64)
    lab._cloud.images["i4"] = changed
    revoke("i6", "bad", ledger=shop)
    lab.image("i3", ready=False)
    found = bisect(shop, 1, 9, bad_from(8))
    said = {t.release.number: t.verdict for t in found.trials}
    assert said[5].status is VerdictStatus.UNDECIDED
    assert "gone" in said[5].evidence
    assert found.first_bad.number == 8
    found = bisect(shop, 1, 7, bad_from(2))
    said = {t.release.number: t.verdict.evidence for t in found.trials}
    assert "not what it was" in said[4]
    assert "not ready" in said[3]
    assert found.first_bad.number == 2
    check_clean(lab, shop, before)


def test_a_revoked_release_is_tried_only_with_a_reason(lab, shop):
    """The override is journalled, as everywhere."""
    revoke("i5", "bad", ledger=shop)
    found = bisect(shop, 4, 6, bad_from(5))
    assert [t.fleet for t in found.trials] == [None]
    assert "revoked: bad" in found.trials[0].verdict.evidence
    found = bisect(shop, 4, 6, bad_from(5), allow_revoked="to find out when")
    assert found.first_bad.number == 5
    (known,) = overrides(ledger=shop)
    assert (known.image, known.reason) == ("i5", "to find out when")


def test_what_was_allowed_to_a_search_is_allowed_to_nothing_else(lab, shop):
    """A fleet of that image is not healed because the image was tried."""
    immutable.rollback(shop, to=5).raise_for_outcome()
    revoke("i5", "bad", ledger=shop)
    assert bisect(shop, 4, 6, bad_from(5), allow_revoked="to find out").first_bad
    ((live, _),) = immutable.status(shop).routing.weights
    lab.kill_server(next(s.id for s in lab.servers() if s.fleet == live))
    assert isinstance(immutable.heal(shop).error, errors.Revoked)
    assert isinstance(immutable.scale(shop, 3).error, errors.Revoked)
    assert immutable.heal(shop, allow_revoked="one more hour").is_live


def test_the_same_release_under_another_number_is_not_tried_again(lab):
    """What differs by its number alone has one verdict."""
    shop = prepared(lab, ("i1", "i2", "i1", "i2", "i3"))
    seen = []

    def check(target):
        seen.append(target.release.image.id)
        return target.release.image.id == "i2"

    found = bisect(shop, 2, 5, check)
    assert seen == ["i1"]
    assert found.first_bad.number == 3
    seen.clear()
    # v2 was good, so v4 is; nothing has to be launched
    assert bisect(shop, 2, 5, lambda target: seen.append(1)).trials != ()


def test_two_releases_that_are_the_same_cannot_be_good_and_bad(lab):
    """No release between them can be blamed for what is not in them."""
    shop = prepared(lab, ("i1", "i2", "i1"))
    with pytest.raises(errors.InvalidInput, match="v1 and v3 differ by their numbers"):
        bisect(shop, 1, 3, bad_from(2))


def test_events_tell_of_each_trial(lab, shop):
    """One verdict for each, in order."""
    told = []
    found = bisect(shop, 1, 9, bad_from(5), on_event=told.append)
    verdicts = [e.verdict for e in told if isinstance(e, immutable.events.Judged)]
    assert verdicts == [t.verdict for t in found.trials]


@pytest.mark.parametrize(
    ("good", "bad", "error"),
    [
        (9, 1, errors.InvalidInput),
        (3, 3, errors.InvalidInput),
        (1, 12, errors.UnknownRelease),
        (0, 9, errors.UnknownRelease),
        (None, 9, errors.UnknownRelease),
    ],
)
def test_numbers_that_cannot_be_meant_are_refused(lab, shop, good, bad, error):
    """Nothing is launched for them."""
    with pytest.raises(error):
        bisect(shop, good, bad, bad_from(5))
    with pytest.raises(errors.InvalidInput, match="called"):
        bisect(shop, 1, 9, "not a check")


@pytest.mark.parametrize("option", ["preview=no", "switch=blind"])
def test_a_switch_that_cannot_keep_trials_apart_is_refused(option):
    """Without a preview route, or where nothing is compared, production could suffer."""
    where = f"memory://bisect-{option.replace('=', '-')}?{option}"
    lab = world(where)
    shop = immutable.Service(
        "shop", backend=where, ports=80, strategy=BlueGreen(bake="0s")
    )
    for name in ("i1", "i2", "i3"):
        immutable.deploy(shop, lab.image(name)).raise_for_outcome()
    with pytest.raises(errors.Unsupported):
        bisect(shop, 1, 3, bad_from(2))
    forget(where)


def test_a_slot_switch_and_bound_launches_will_do():
    """Whatever compares the routing, and however instances come to their place."""
    where = "memory://bisect-slot?switch=slot&launch_binds=yes&staleness=1s"
    lab = world(where)
    shop = immutable.Service(
        "shop", backend=where, ports=80, strategy=BlueGreen(bake="0s")
    )
    for name in ("i1", "i2", "i3", "i4"):
        immutable.deploy(shop, lab.image(name)).raise_for_outcome()
    assert bisect(shop, 1, 4, bad_from(3)).first_bad.number == 3
    assert lab.switch("shop").read().routing.preview is None
    forget(where)


def test_a_lost_answer_of_the_switch_is_read_back(lab, shop):
    """A write that may have happened is looked for and not believed."""
    before = lab.switch("shop").read()
    for call in ("switch.write", "switch.attach", "switch.detach", "fleets.launch"):
        for fault in (Fault.ERROR_AFTER, Fault.ERROR_BEFORE):
            lab.fail(Script(fault, call))
            found = bisect(shop, 3, 5, bad_from(5))
            lab.fail()
            assert {t.release.number for t in found.trials} == {4}
            immutable.sweep(shop)
            check_clean(lab, shop, before)


def test_a_deployment_in_progress_comes_first(lab, shop):
    """A trial is not begun beside a deployment, open or interrupted."""
    lab.kill_deployer(at=20)
    with pytest.raises(Killed):
        immutable.deploy(shop, lab.image("i10"))
    with pytest.raises(errors.Contention):
        bisect(shop, 1, 9, bad_from(5))
    lab.wait("1h")
    with pytest.raises(errors.Contention, match="recover"):
        bisect(shop, 1, 9, bad_from(5))


def test_a_deployment_in_the_middle_of_a_trial_wins(lab, shop):
    """It goes live as ever; the trial says that it learnt nothing."""
    done = []

    def check(target):
        if not done:
            judged = [lambda target: True]
            done.append(immutable.deploy(shop, lab.image("i10"), validators=judged))
        return True

    found = bisect(shop, 4, 6, check)
    assert done[0].is_live
    assert found.trials[0].verdict.status is VerdictStatus.UNDECIDED
    assert "somebody else" in found.trials[0].verdict.evidence
    assert immutable.status(shop).release.number == 10
    assert lab.switch("shop").read().routing.preview is None


def test_a_search_can_be_cancelled(lab, shop):
    """What is being tried is taken away before the error is raised."""
    before = lab.switch("shop").read()
    stop = threading.Event()

    def check(target):
        stop.set()

    with pytest.raises(errors.Cancelled):
        bisect(shop, 1, 9, check, cancel=stop)
    check_clean(lab, shop, before)
    with pytest.raises(errors.Cancelled):
        bisect(shop, 1, 9, check, cancel=stop)


def test_what_cannot_be_taken_away_is_listed(lab, shop):
    """The trial says what is left, and a sweep takes it away."""
    before = lab.switch("shop").read()
    lab.fail(Script(Fault.REFUSED, "fleets.retire"))
    found = bisect(shop, 3, 5, bad_from(4))
    lab.fail()
    assert found.first_bad.number == 4
    assert found.trials[0].fleet in found.trials[0].leftovers[0]
    assert immutable.sweep(shop).is_live
    check_clean(lab, shop, before)


def test_a_search_that_is_killed_leaves_nothing_that_sweep_does_not_find(lab):
    """After a kill at every point: production as it was, and nothing else after a sweep."""
    # what is after one call is before the next: every second point is every state
    for at in range(1, 400, 2):
        forget(WHERE)
        lab = world(WHERE)
        shop = prepared(lab, NAMES[:3])
        before = lab.switch("shop").read()
        lab.kill_deployer(at=at)
        try:
            bisect(shop, 1, 3, bad_from(2))
        except Killed:
            assert lab.switch("shop").read().routing.weights == before.routing.weights
            immutable.sweep(shop).raise_for_outcome()
            immutable.sweep(shop).raise_for_outcome()
            check_clean(lab, shop, before)
        else:
            assert at > 20
            return
    pytest.fail("it never ended")


def test_a_killed_trial_does_not_stop_the_next_deployment(lab, shop):
    """Nobody has to sweep first."""
    at, previewed = 1, False
    while not previewed:
        lab.kill_deployer(at=at)
        with pytest.raises(Killed):
            bisect(shop, 1, 9, bad_from(5))
        previewed = lab.switch("shop").read().routing.preview is not None
        if not previewed:
            immutable.sweep(shop)
        at += 1
    with pytest.raises(errors.Contention, match="sweep"):
        bisect(shop, 1, 9, bad_from(5))
    done = immutable.deploy(shop, lab.image("i10"), validators=[lambda target: True])
    assert done.is_live
    immutable.sweep(shop)
    assert len({server.fleet for server in lab.servers()}) == 2


def test_what_a_killed_trial_left_is_not_forgotten_by_another_services_sweep(lab):
    """They share a ledger, and not a switch: only its own service can take it away."""
    shop = prepared(lab, NAMES[:3])
    before = lab.switch("shop").read()
    other = immutable.Service("other", backend=WHERE, ports=80)
    immutable.deploy(other, lab.image("i1")).raise_for_outcome()
    at = 1
    while lab.switch("shop").read().routing.preview is None:
        immutable.sweep(shop)
        lab.kill_deployer(at=at)
        with pytest.raises(Killed):
            bisect(shop, 1, 3, bad_from(2))
        at += 1
    immutable.sweep(other).raise_for_outcome()
    assert Shelf(lab.ledger, lab.host).load().leases != ()
    immutable.sweep(shop).raise_for_outcome()
    assert lab.switch("shop").read().routing == before.routing
    assert Shelf(lab.ledger, lab.host).load().leases == ()


# --- the search alone


@given(st.integers(1, 40), st.data())
def test_halving_always_ends_next_to_the_first_bad_one(count, data):
    """Whatever is undecided, the first bad one is among the suspects."""
    first = data.draw(st.integers(1, count))
    unknown = data.draw(st.sets(st.integers(1, max(count - 1, 1))))
    low, high, skipped, tries = 0, count, set(), 0
    while (middle := choose(low, high, skipped)) is not None:
        tries += 1
        if middle in unknown:
            skipped.add(middle)
        elif middle >= first:
            high = middle
        else:
            low = middle
    assert low < first <= high
    assert all(at in skipped for at in range(low + 1, high))
    if not unknown:
        assert tries <= math.ceil(math.log2(count)) if count > 1 else tries == 0
        assert high == first


def test_only_what_lies_between_is_searched(lab, shop):
    """Ascending, both ends included."""
    history = [line.release for line in immutable.history(shop)]
    assert history[:3] == [1, 2, 3]

    class One:
        def __init__(self, number):
            self.number = number

    found = between([One(n) for n in (5, 1, 3, 2)], 2, 5)
    assert [release.number for release in found] == [2, 3, 5]
