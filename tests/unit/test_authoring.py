"""The helpers of backend authors: names, tags, waits, batches, errors."""

import threading
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutable import host
from immutable.authoring import (
    BatchedReads,
    Meaning,
    NameRules,
    RateBudget,
    TagRules,
    is_tagged,
    tags_from_text,
    tags_to_text,
    translated,
    wait_until,
)
from immutable.errors import (
    Ambiguous,
    Conflict,
    InvalidInput,
    PermissionDenied,
    Unavailable,
)
from immutable.model import (
    DeploymentId,
    Digest,
    LedgerId,
    ReleaseNumber,
    ServiceName,
    Tags,
)
from immutable.testing import Simulation

SECOND = timedelta(seconds=1)
_DEEP = "[" * 100_000
RULES = NameRules(max_chars=16)
TAGS = Tags(
    service=ServiceName("shop"),
    ledger=LedgerId("ledger-1"),
    deployment=DeploymentId("d-1"),
    release=ReleaseNumber(3),
    digest=Digest("f" * 64),
)


@given(st.text(max_size=40), st.text(max_size=40))
def test_names_fit_and_stay_apart(one, other):
    """Whatever the names, what is made of them is accepted, and differs."""
    names = [RULES.fit(f"a{text}") for text in (one, other)]
    assert all(map(RULES.accepts, names))
    assert (names[0] == names[1]) is (one == other)


def test_a_name_that_fits_stays_and_a_longer_one_keeps_its_beginning():
    """What people read is kept as far as there is room."""
    assert RULES.fit("shop-v1-abcdef") == "shop-v1-abcdef"
    assert RULES.fit("shop-v1-abcdef-and-more").startswith("shop-v1-a-")
    assert len(RULES.fit("shop-v1-abcdef-and-more")) == 16


def test_a_name_of_which_nothing_can_be_made_is_refused():
    """Rules that leave no room say so, and what they are."""
    with pytest.raises(InvalidInput, match="4 long"):
        NameRules(max_chars=4).fit("shop-v1")


def test_tags_survive_a_description():
    """Where there are no labels, tags are found in the description."""
    found = tags_from_text(tags_to_text(TAGS))
    assert dict(found) == TAGS.to_mapping()
    assert is_tagged(found, service=TAGS.service, ledger=TAGS.ledger)
    assert not is_tagged(found, service=TAGS.service, ledger=LedgerId("ledger-2"))


@pytest.mark.parametrize(
    "text", ["", "by hand", "[1]", '{"a":"b"}', "null", pytest.param(_DEEP, id="deep")]
)
def test_a_description_of_somebody_else_has_no_tags(text):
    """What we did not write is not ours."""
    assert tags_from_text(text) == ()


def test_tags_that_do_not_fit_are_refused_and_not_cut():
    """What is cut could not be found again."""
    accepted = TagRules(max_tags=10, max_key_chars=63, max_value_chars=63)
    assert dict(accepted.check(TAGS)) == TAGS.to_mapping()
    with pytest.raises(InvalidInput, match="6 tags, and 5"):
        TagRules(max_tags=5, max_key_chars=63, max_value_chars=63).check(TAGS)
    with pytest.raises(InvalidInput, match="immutable-digest"):
        TagRules(max_tags=9, max_key_chars=63, max_value_chars=15).check(TAGS)


def test_a_wait_ends_with_what_it_waited_for():
    """It looks at growing pauses, in the engine's time."""
    sim = Simulation()
    looks = []

    def look():
        looks.append(sim.scheduler.now_us / 1e6)
        return "there" if len(looks) == 4 else None

    with sim:
        assert wait_until(look, "the server", within=SECOND * 60) == "there"
    assert looks == pytest.approx([0, 1, 2.5, 4.75], abs=0.01)


def test_a_wait_that_is_over_says_that_it_may_still_happen():
    """It looks a last time at its end; then nobody knows."""
    sim = Simulation()
    looks = []
    with sim, pytest.raises(Ambiguous, match=r"the server has not happened within 5s"):
        wait_until(lambda: looks.append(1), "the server", within=SECOND * 5)
    assert sim.scheduler.now_us == pytest.approx(5_000_000, abs=2000)
    assert len(looks) == 5


def test_a_budget_spreads_calls_and_saves_a_burst():
    """After a rest three at once, then two a second."""
    sim = Simulation()
    budget = RateBudget(per_second=2, burst=3)
    with sim:
        taken = []
        for _ in range(6):
            budget.take()
            taken.append(sim.scheduler.now_us / 1e6)
    assert taken == pytest.approx([0, 0, 0, 0.5, 1.0, 1.5], abs=0.01)


def test_a_budget_knows_whose_time_it_is():
    """What was taken by one host's clock keeps nobody waiting by another's."""
    budget = RateBudget(per_second=1)
    ahead, behind = Simulation(), Simulation()
    with ahead:
        host.current().sleep(SECOND * 3600, host.Never())
        budget.take()
    with behind:
        budget.take()
        assert behind.scheduler.now_us < 1_000_000


def test_readers_that_come_meanwhile_share_the_next_call():
    """One call answers all that came while another was under way."""
    calls, begun, may_go = [], threading.Event(), threading.Event()

    def read(keys):
        calls.append(keys)
        begun.set()
        assert may_go.wait(20)
        return {key: key.upper() for key in keys if key != "none"}

    reads = BatchedReads(read, RateBudget(per_second=1000, burst=1000))
    answers = {}

    def get(key):
        answers[key] = reads.get(key)

    first = threading.Thread(target=get, args=["first"])
    first.start()
    assert begun.wait(20)
    rest = [threading.Thread(target=get, args=[key]) for key in ("a", "b", "none")]
    for thread in rest:
        thread.start()
    while reads._next is None or len(reads._next.keys) < 3:
        assert rest[0].is_alive()
    may_go.set()
    for thread in (first, *rest):
        thread.join(20)
    assert calls == [{"first"}, {"a", "b", "none"}]
    assert answers == {"first": "FIRST", "a": "A", "b": "B", "none": None}


def test_a_reading_that_fails_is_told_and_the_next_one_goes_on():
    """An error does not stay, and nobody waits for ever."""
    failing = [True]

    def read(keys):
        if failing.pop():
            raise Unavailable("down")
        failing.append(False)
        return dict.fromkeys(keys, 1)

    reads = BatchedReads(read, RateBudget(per_second=1000, burst=10))
    with pytest.raises(Unavailable, match="down"):
        reads.get("a")
    failing.append(False)
    assert reads.get("a") == 1


def meaning(exc):
    """Know one error."""
    if isinstance(exc, PermissionError):
        return Meaning(kind=PermissionDenied, hint="ask for the role")
    return None


@pytest.mark.parametrize(
    ("raised", "changes", "kind"),
    [
        (PermissionError("no"), True, PermissionDenied),
        (KeyError("what"), True, Ambiguous),
        (KeyError("what"), False, Unavailable),
        (Conflict("moved"), True, Conflict),
    ],
)
def test_errors_are_translated_and_what_nobody_knows_is_not_believed(
    raised, changes, kind
):
    """A known error is what it means; another is in doubt; the library's own pass."""
    with (
        pytest.raises(kind) as caught,
        translated(
            meaning, backend="acme", operation="create", resource="a", changes=changes
        ),
    ):
        raise raised
    own = isinstance(raised, Conflict)
    assert (caught.value is raised) is own
    assert own or caught.value.__cause__ is raised
    assert own or (caught.value.backend, caught.value.resource) == ("acme", "a")


def test_a_wait_uses_the_machine_where_there_is_no_simulation():
    """Outside of a simulation the real clock counts."""
    assert host.current().now() is not None
    assert wait_until(lambda: 1, "at once", within=SECOND) == 1
