import pytest

import immutable
from immutable.errors import NotReady
from immutable.testing import Provider, Simulation
from immutable.testing.registers import KINDS


def test_a_release_whose_servers_keep_dying_is_turned_away():
    """A few deaths are healed on the way; then it is the release that is to blame."""
    with Simulation(1) as sim:
        service = sim.service("shop", size=2)
        image = sim.image("app", boots_in="5s", dies_after="2s")
        done = immutable.deploy(service, image)
    assert done.outcome is immutable.Outcome.ROLLED_BACK
    assert isinstance(done.error, NotReady)
    assert "4 instances died on the way" in str(done.error)
    assert [step.step for step in done.steps].count("replace") == 3
    assert not sim.cloud.fleets.now


@pytest.mark.parametrize("kind", KINDS)
def test_where_launching_binds_nobody_joins(kind):
    """The provider puts servers into their place itself; only a healing makes sure of it."""
    with Simulation(1, provider=Provider(switch=kind, launch_binds=True)) as sim:
        service = sim.service("shop", size=2)
        assert immutable.deploy(service, sim.image("app")).is_live
        assert immutable.scale(service, 3).is_live
        assert "switch.join" not in sim.gate.calls
        (fleet,) = sim.cloud.fleets.now
        sim.kill_server(sim.cloud.fleets.now[fleet].servers[0].id)
        assert immutable.heal(service).is_live
        place = sim.cloud.switch("shop").now.place_of(fleet)
        servers = {server.id for server in sim.cloud.fleets.now[fleet].servers}
    assert {joined.member.instance for joined in place.joined} == servers
    assert len(servers) == 3
