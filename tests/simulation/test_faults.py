from datetime import timedelta

import pytest

import immutable
from immutable.errors import (
    Ambiguous,
    ImmutableError,
    LedgerError,
    LedgerLocked,
    SequenceTaken,
    Unavailable,
)
from immutable.model import FleetName, Outcome
from immutable.testing import Fault, Provider, Script, Simulation, route
from immutable.testing.chances import seeded
from immutable.testing.faults import CHANGES, EFFECTS, READINGS, READS, draw_mix

LATE = timedelta(seconds=100)
MINUTE_US = 60_000_000


def world(
    fault: Fault | str, call: str, *, ledger_late: str = "0s", **fields: object
) -> Simulation:
    """Return a world in which one call goes wrong."""
    provider = Provider(late=LATE, staleness="20s", ledger_late=ledger_late)
    return Simulation(1, provider=provider, faults=[Script(fault, call, **fields)])


def append(sim: Simulation, sequence: int = 1) -> None:
    """Write one record."""
    sim.store.append("notes", sequence, b"{}")


def stored(sim: Simulation) -> int:
    """Return how many records there are in truth."""
    return len(sim.store.records("notes"))


@pytest.mark.parametrize(
    ("fault", "error", "is_stored"),
    [
        (Fault.REFUSED, LedgerError, False),
        (Fault.THROTTLED, LedgerLocked, False),
        (Fault.ERROR_BEFORE, Ambiguous, False),
        (Fault.ERROR_AFTER, Ambiguous, True),
        (Fault.TIMEOUT_AFTER, Ambiguous, True),
    ],
)
def test_a_fault_says_what_it_is_and_has_the_effect_that_it_says(
    fault, error, is_stored
):
    """Each failing kind raises its own error, with or without the effect."""
    sim = world(fault, "ledger.append")
    with pytest.raises(error) as caught:
        append(sim)
    assert (stored(sim) == 1) is is_stored
    assert caught.value.retryable is (fault is Fault.THROTTLED)
    append(sim, 2)
    assert sim.gate.struck == {fault: 1}


def test_a_refusal_of_the_provider_is_no_ledger_error():
    """Calls that go to the provider fail with the provider's errors."""
    sim = world("refused", "switch.read")
    service = sim.service("shop")
    with pytest.raises(Unavailable) as caught:
        service.switch.read()
    assert not caught.value.retryable


def test_what_is_slow_succeeds_after_a_long_time():
    """A slow call takes seconds, and then returns what it should."""
    sim = world("slow", "ledger.append")
    append(sim)
    assert stored(sim) == 1
    assert sim.scheduler.now_us > 2_000_000


def test_silence_takes_seconds():
    """An answer that is lost in silence is waited for."""
    sim = world("timeout_after", "ledger.append")
    with pytest.raises(Ambiguous):
        append(sim)
    assert sim.scheduler.now_us > 5_000_000


def test_a_late_effect_lands_when_nobody_waits_any_more():
    """What was given up as unknown takes effect within the stated time."""
    sim = world("late", "images.build")
    with pytest.raises(Ambiguous):
        sim.backend.images.build(immutable.Recipe.base("debian:12"), on_output=str)
    assert not sim.cloud.images
    sim.wait(LATE)
    assert len(sim.cloud.images) == 1


def test_nothing_is_late_where_the_provider_is_never_late():
    """A provider without ``late`` has no late effects, and no second deliveries."""
    scripts = [Script(Fault.LATE, "*"), Script(Fault.DUPLICATED, "*")]
    sim = Simulation(1, faults=scripts)
    sim.backend.images.build(immutable.Recipe.base("debian:12"), on_output=str)
    assert not sim.gate.struck


def test_the_ledger_is_late_only_when_asked_to_be():
    """A record that was given up never lands, unless the provider is declared so bad."""
    sim = world("late", "ledger.append")
    append(sim)
    assert stored(sim) == 1
    assert not sim.gate.struck
    provider = Provider(ledger_late=LATE)
    bad = Simulation(1, provider=provider, faults=[Script("late", "ledger.append")])
    with pytest.raises(Ambiguous):
        append(bad)
    assert stored(bad) == 0
    bad.wait(LATE)
    assert stored(bad) == 1


def test_a_duplicate_is_delivered_twice():
    """The caller hears of the first; the second lands later, on a world that moved on."""
    sim = world("duplicated", "images.delete")
    image = sim.image("app")
    sim.backend.images.delete(image.id)
    assert not sim.cloud.images
    sim.image("app")
    sim.wait(LATE)
    assert not sim.cloud.images


def test_a_stale_reading_shows_what_was():
    """A reading may be as old as the provider says, and no older."""
    sim = world("stale", "switch.read", times=None)
    service = sim.service("shop")
    with sim:
        immutable.deploy(service, sim.image("app"))
        sim.wait("30s")
        route(sim, "shop", {})
        seen = set()
        for _ in range(20):
            seen.add(bool(service.switch.read().routing.weights))
            sim.wait("500ms")
        sim.wait("21s")
        assert not any(service.switch.read().routing.weights for _ in range(20))
    assert seen == {True, False}


def test_a_script_can_skip_repeat_and_choose_its_process():
    """A fault strikes where, when and whom it is told to."""
    script = Script("refused", "ledger.*", times=2, skip=1, process="other")
    sim = Simulation(1, faults=[script])
    append(sim)
    said = []

    def work() -> None:
        for sequence in (2, 3, 4, 5):
            try:
                append(sim, sequence)
                said.append("stored")
            except LedgerError:
                said.append("refused")

    sim.spawn("other", work)
    sim.run()
    assert said == ["stored", "refused", "refused", "stored"]


def test_faults_can_be_taken_back():
    """From `set_faults` on, nothing goes wrong."""
    sim = world("refused", "ledger.append", times=None)
    with pytest.raises(LedgerError):
        append(sim)
    sim.set_faults(None)
    append(sim)


def test_put_if_absent_is_atomic():
    """Of two processes with the same number exactly one wins, whoever asks first."""
    winners = []
    sim = Simulation(3)

    def work(name: str) -> None:
        try:
            append(sim)
            winners.append(name)
        except SequenceTaken:
            pass

    for name in ("a", "b", "c"):
        sim.spawn(name, lambda name=name: work(name))
    sim.run()
    assert len(winners) == 1


def test_drawn_mixes_differ_and_hold_only_what_is_possible():
    """Each seed draws its own mix; readings never have effects that land late."""
    mixes = [draw_mix(seeded(s, "mix"), (*CHANGES, *READINGS)) for s in range(50)]
    assert len({str(mix.rates) for mix in mixes}) > 40
    for mix in mixes:
        for call, rates in mix.rates.items():
            assert set(rates) <= set(READS if call in READINGS else EFFECTS)
            assert 0 < sum(rates.values()) <= 0.61
    assert max(sum(r.values()) for m in mixes for r in m.rates.values()) > 0.5


def test_a_mix_strikes_as_often_as_it_says():
    """With sixty percent of faults, about sixty percent of calls go wrong."""
    mix = draw_mix(seeded(1, "mix"), ("switch.write",))
    mix.rates = {"switch.write": {Fault.REFUSED: 0.6}}
    drawn = [
        mix.choose("switch.write", process="p", possible=EFFECTS) for _ in range(1000)
    ]
    assert 500 < sum(fault is Fault.REFUSED for fault in drawn) < 700
    assert mix.choose("switch.read", process="p", possible=READS) is None


@pytest.mark.parametrize(("ledger_late", "at_once"), [("100s", 0), ("0s", 1)])
def test_a_call_that_takes_too_long_is_left_behind(ledger_late, at_once):
    """What `Host.run` gives up still lands, as late as the provider states at most."""
    sim = world("slow", "ledger.append", ledger_late=ledger_late)
    [answer] = sim.here.run([lambda: append(sim)], within=timedelta(seconds=1))
    assert answer is None
    assert sim.scheduler.now_us < 1_100_000
    assert stored(sim) == at_once
    sim.wait("90s")
    assert stored(sim) == 1


@pytest.mark.parametrize("fault", EFFECTS)
@pytest.mark.parametrize("call", ["switch.write", "fleets.launch", "ledger.append"])
def test_a_deploy_survives_one_fault_of_any_kind(fault, call):
    """One fault of any kind at a call that matters ends in LIVE or clean."""
    sim = world(fault, call, skip=1)
    service = sim.service("shop")
    with sim:
        immutable.deploy(service, sim.image("app-1"))
        done = immutable.deploy(service, sim.image("app-2"))
        assert done.outcome in {Outcome.LIVE, Outcome.ROLLED_BACK}, done.error


def test_errors_name_the_call():
    """A simulated error says which call it was."""
    sim = world("refused", "fleets.observe")
    with pytest.raises(ImmutableError) as caught:
        sim.backend.fleets.observe(FleetName("shop-v1-000000"))
    assert caught.value.operation == "fleets.observe"
