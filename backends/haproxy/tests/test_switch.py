from collections import Counter
from datetime import timedelta

import pytest
from haproxy_tools import (
    BLUE,
    GREEN,
    OWNER,
    Client,
    Servers,
    Switches,
    Traffic,
    ask,
    attach,
    eventually,
    ready,
    route,
)

from immutable.errors import Conflict, NotEnough
from immutable.model import Health, HealthCheck, LedgerId, Routing

pytestmark = pytest.mark.haproxy


def test_reading_starts_nothing(switches: Switches) -> None:
    """A switch that was never set up reads as empty and unowned, without any effect."""
    switch = switches()
    view = switch.read()
    assert view.routing == Routing()
    assert view.owner is None
    assert view.attachments == ()
    assert switch.health(BLUE) == ()
    assert switch.sessions(BLUE) == 0
    assert not switches.directory().exists()


def test_empty_routing_answers_503(servers: Servers, switches: Switches) -> None:
    """A fleet attached without weight gets nothing; clients are told at once."""
    (one,) = servers("one")
    switch = switches()
    attach(switch, BLUE, one)
    assert ask(switch) == "503"
    assert ask(switch, preview=True) == "503"


def test_write_moves_every_connection(servers: Servers, switches: Switches) -> None:
    """After a write returned, kept connections too are served by the new fleet."""
    one, two = servers("one", "two")
    switch = switches()
    attach(switch, BLUE, one)
    attach(switch, GREEN, two)
    route(switch, blue=100)
    with Client(switch) as kept:
        assert kept.ask() == "one"
        for _ in range(10):
            route(switch, green=100)
            assert (kept.ask(), ask(switch)) == ("two", "two")
            route(switch, blue=100)
            assert (kept.ask(), ask(switch)) == ("one", "one")


def test_flips_under_traffic_fail_nothing(servers: Servers, switches: Switches) -> None:
    """A hundred flips under traffic, on kept and fresh connections, fail nothing."""
    one, two = servers("one", "two")
    switch = switches()
    attach(switch, BLUE, one)
    attach(switch, GREEN, two)
    route(switch, blue=100)
    with Traffic(switch) as kept, Traffic(switch, keep=False, clients=2) as fresh:
        for _ in range(50):
            route(switch, green=100)
            route(switch, blue=100)
        kept.more()
    assert set(kept.answers) == {"one", "two"}
    assert set(fresh.answers) <= {"one", "two"}


def test_view_is_what_was_written(servers: Servers, switches: Switches) -> None:
    """Owner, weights, preview, places and members read back as they were written."""
    one, two = servers("one", "two")
    switch = switches()
    attach(switch, BLUE, one)
    attach(switch, GREEN, two)
    routing = Routing(weights={BLUE: 67, GREEN: 33}, preview=GREEN)
    owner = LedgerId("a ledger: ünusual/näme")
    version = switch.write(routing, owner=owner, expected=switch.read().version)
    view = switch.read()
    assert view.routing == routing
    assert view.version == version
    assert view.owner == owner
    assert [a.fleet for a in view.attachments] == [BLUE, GREEN]
    assert [a.members for a in view.attachments] == [(one.member,), (two.member,)]


def test_other_process_reads_the_same(servers: Servers, switches: Switches) -> None:
    """Two switch objects on one directory see and write the same thing."""
    (one,) = servers("one")
    first = switches()
    attach(first, BLUE, one)
    second = switches()
    assert second.read() == first.read()
    route(second, blue=100)
    assert first.read() == second.read()
    assert ask(first) == "one"


def test_preview_port(servers: Servers, switches: Switches) -> None:
    """The previewed fleet answers on the preview route and nowhere else."""
    one, two = servers("one", "two")
    switch = switches()
    attach(switch, BLUE, one)
    attach(switch, GREEN, two)
    route(switch, preview=GREEN, blue=100)
    assert ask(switch, preview=True) == "two"
    assert ask(switch) == "one"
    route(switch, preview=None, blue=100)
    assert ask(switch, preview=True) == "503"


def test_preview_header(servers: Servers, switches: Switches) -> None:
    """With the header production takes preview requests, never for the live fleet."""
    one, two = servers("one", "two")
    switch = switches(preview_header="on")
    attach(switch, BLUE, one)
    attach(switch, GREEN, two)
    route(switch, preview=GREEN, blue=100)
    production, preview = switch.endpoints()
    assert preview.port == production.port
    ((name, secret),) = preview.headers
    assert len(secret) == 32
    assert ask(switch, preview=True) == "two"
    assert ask(switch) == "one"
    assert secret not in ask(switch, "/headers", preview=True)
    assert name.lower() not in ask(switch, "/headers", preview=True).lower()
    route(switch, preview=None, blue=100)
    assert ask(switch, preview=True) == "503"


def test_canary_shares(servers: Servers, switches: Switches) -> None:
    """Weights are honoured: shares of 2,000 requests lie near, and zero is zero."""
    one, two = servers("one", "two")
    switch = switches()
    attach(switch, BLUE, one)
    attach(switch, GREEN, two)
    for weight in (5, 50):
        route(switch, blue=100 - weight, green=weight)
        with Client(switch) as client:
            answers = Counter(client.ask() for _ in range(2000))
        # Six standard deviations: it fails by chance once in a thousand million runs.
        spread = 6 * (2000 * weight / 100 * (1 - weight / 100)) ** 0.5
        assert abs(answers["two"] - 20 * weight) < spread
        assert answers.total() == answers["one"] + answers["two"]
    route(switch, blue=100)
    with Client(switch) as client:
        assert {client.ask() for _ in range(500)} == {"one"}


def test_attach_repeated(servers: Servers, switches: Switches) -> None:
    """Attaching what is attached changes nothing, not even the version."""
    (one,) = servers("one")
    switch = switches()
    version = attach(switch, BLUE, one)
    again = switch.attach(BLUE, health=one.check(), owner=OWNER, expected=version)
    assert again == version
    assert switch.read().attachments[0].members == (one.member,)


def test_detach(servers: Servers, switches: Switches) -> None:
    """A fleet is detached with its servers; one that gets requests is refused."""
    one, two = servers("one", "two")
    switch = switches()
    attach(switch, BLUE, one)
    attach(switch, GREEN, two)
    version = route(switch, preview=GREEN, blue=100)
    for fleet in (BLUE, GREEN):
        with pytest.raises(Conflict, match="still gets requests"):
            switch.detach(fleet, owner=OWNER, expected=version)
    assert switch.read().version == version
    version = route(switch, blue=100)
    version = switch.detach(GREEN, owner=OWNER, expected=version)
    assert switch.detach(GREEN, owner=OWNER, expected=version) == version
    assert [a.fleet for a in switch.read().attachments] == [BLUE]
    assert "two" not in (switches.directory() / "haproxy.cfg").read_text()
    eventually(lambda: switch.sessions(GREEN) == 0, "nothing of it is left")


def test_detach_before_anything(switches: Switches) -> None:
    """Detaching from a switch that was never set up starts nothing."""
    switch = switches()
    version = switch.read().version
    assert switch.detach(BLUE, owner=OWNER, expected=version) == version
    assert not switches.directory().exists()


def test_slots_run_out(servers: Servers, switches: Switches) -> None:
    """A fleet without a slot is refused; the other kind has slots of its own."""
    one, two, three = servers("one", "two", "three")
    switch = switches(slots="2")
    attach(switch, BLUE, one)
    version = attach(switch, GREEN, two)
    with pytest.raises(NotEnough, match="2 slots"):
        switch.attach("third", health=three.check(), owner=OWNER, expected=version)
    assert switch.read().version == version
    bare = HealthCheck(port=three.port)
    switch.attach("third", health=bare, owner=OWNER, expected=version)
    switch.join("third", (three.member,), drain=timedelta())
    ready(switch, "third")
    (probe,) = switch.health("third")
    assert "L4OK" in probe.evidence


def test_slot_is_reused_clean(servers: Servers, switches: Switches) -> None:
    """A fleet that gets another's slot, and its address, starts without its health."""
    one, two = servers("one", "two")
    switch = switches(slots="2", interval="1h", fast="1h")
    version = switch.attach(
        BLUE, health=one.check(), owner=OWNER, expected=switch.read().version
    )
    switch.join(BLUE, (one.member,), drain=timedelta())
    version = switch.attach(GREEN, health=two.check(), owner=OWNER, expected=version)
    version = switch.detach(BLUE, owner=OWNER, expected=version)
    switch.attach("third", health=one.check("/other"), owner=OWNER, expected=version)
    assert switch.health("third") == ()
    switch.join("third", (one.member,), drain=timedelta())
    (probe,) = switch.health("third")
    assert probe.health is Health.UNKNOWN
    assert "INI" in probe.evidence


def test_health_path_needs_no_reload(servers: Servers, switches: Switches) -> None:
    """Each attachment is probed at its own path, unusual characters and all."""
    one, two = servers("one", "two")
    switch = switches()
    check = HealthCheck(port=one.port, path='/health?a="b"&c=%20;d%[x]#$\\')
    version = switch.read().version
    switch.attach(BLUE, health=check, owner=OWNER, expected=version)
    switch.join(BLUE, (one.member,), drain=timedelta())
    ready(switch, BLUE)
    attach(switch, GREEN, two)
    assert check.path in one.asked()
    assert "/health" in two.asked()


def test_unattached_fleet_gets_no_weight(servers: Servers, switches: Switches) -> None:
    """A routing that names a fleet without a slot is refused and changes nothing."""
    (one,) = servers("one")
    switch = switches()
    version = attach(switch, BLUE, one)
    with pytest.raises(Conflict, match="not attached"):
        route(switch, green=100)
    with pytest.raises(Conflict, match="not attached"):
        route(switch, preview=GREEN, blue=100)
    assert switch.read().version == version


def test_timings_of_a_write(servers: Servers, switches: Switches) -> None:
    """The flip itself and the durable file are told apart."""
    (one,) = servers("one")
    switch = switches()
    assert switch.last_write is None
    attach(switch, BLUE, one)
    route(switch, blue=100)
    timings = switch.last_write
    assert timings is not None
    assert 0 < timings.flip_s < timings.total_s
    assert 0 < timings.durable_s < timings.total_s


def test_shut_down_forgets(servers: Servers, switches: Switches) -> None:
    """After shut_down nothing runs and the switch reads as never set up."""
    (one,) = servers("one")
    switch = switches()
    attach(switch, BLUE, one)
    switch.shut_down()
    assert (switches.haproxy(), switches.supervisor()) == (0, 0)
    assert switch.read().attachments == ()
    left = {path.name for path in switches.directory().iterdir()}
    assert left <= {"haproxy.log", "writer.lock", "supervisor.lock", "haproxy.lock"}
    attach(switch, BLUE, one)
    route(switch, blue=100)
    assert ask(switch) == "one"
