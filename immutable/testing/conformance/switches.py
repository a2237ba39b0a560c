"""Cases of `immutable.protocols.Switch`: routing, places and versions."""

from immutable.model import Routing
from immutable.testing.conformance.case import Part, Reach
from immutable.testing.conformance.suite import case
from immutable.testing.conformance.trial import Trial


@case(
    Part.SWITCH,
    "a new switch is empty and nobody's",
    "Switch.read: a switch that has never been set up reads as empty, unowned",
)
def begins_empty(t: Trial) -> None:
    """Read a switch that was never written."""
    view = t.switch.read()
    t.expect(view.routing == Routing(), "no routing", view.routing)
    t.expect(view.attachments == (), "no places", view.attachments)
    t.expect(view.owner is None, "no owner", view.owner)


@case(
    Part.SWITCH,
    "what is written is what is read",
    "Switch.write: set the whole routing in one atomic step and return the new version",
    reach=Reach.READY,
)
def reads_what_is_written(t: Trial) -> None:
    """Write, and read routing, version and owner."""
    (fleet,) = t.stand("blue")
    t.ready(fleet, t.subject.size)
    before = t.switch.read().version
    routing = Routing(weights={fleet: 100})
    version = t.write(routing)
    t.expect(version != before, f"another version than {before}", version)
    view = t.switch_seen(lambda v: v.routing == routing, f"the routing {routing}")
    t.expect(view.version == version, f"version {version}", view.version)
    t.expect(view.owner == t.ledger, f"owner {t.ledger}", view.owner)
