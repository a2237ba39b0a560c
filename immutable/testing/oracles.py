"""The rules that may never break, checked at every change of the truth.

``unready``     every write gives more weight only to a whole, ready, uniform fleet
``unknown``     … that the ledger knows
``capacity``    … as large as the one that it takes over from
``tombstone``   … and not to be retired
``frozen``      … while no provider may change it or the other side by itself
``held``        at rest the provider scales what serves, and leaves the standby alone
``policies``    … by the same rules as before
``settled``     nothing loses its place while older routings may still be served
``destroyed``   nothing that has traffic, or a place at the switch, is destroyed
``intent``      everything that is asked for was in the ledger first, exactly so
``token``       the same token always asks for the same
``tags``        everything that is made says whose it is
``routing``     at most two fleets have traffic, and they exist
``turn``        only the deployment that is open moves traffic
``served``      what has ended well stays served until another deployment begins
``drift``       what a person has routed is not overwritten
``terminal``    what has ended stays ended
``holder``      only who has begun or taken over a deployment writes of it
``sequence``    records follow one another, and are never overwritten
``codec``       every record reads as it was written
``stranger``    other services and other ledgers are left alone
``liveness``    once faults stop, all comes to rest in bounded time
``inventory``   … and exactly what the ledger says exists, and is served
``repeated``    … and doing it again changes nothing
``raised``      what goes wrong is returned, and not raised
``superseded``  who says that another deployer took over is right
``refused``     a call that says it touched nothing has begun nothing
"""

import attrs

from immutable.ledger.records import Finished
from immutable.model import FleetName
from immutable.testing.books import Book, Intent
from immutable.testing.calls import Request
from immutable.testing.cloud import Cloud
from immutable.testing.holding import Holding
from immutable.testing.intents import UNJOURNALLED, Tokens, check_intended
from immutable.testing.registers import Register
from immutable.testing.servers import Fleet
from immutable.testing.store import SERVICE
from immutable.testing.traffic import Traffic
from immutable.testing.violations import Judge

_TAGS = ("immutable-service", "immutable-ledger", "immutable-deployment")


@attrs.define(eq=False)
class Oracles:
    """Judges everything that happens in one simulation; a `Watch`."""

    judge: Judge
    cloud: Cloud
    books: dict[str, Book] = attrs.field(factory=dict)
    """By service."""
    traffic: dict[str, Traffic] = attrs.field(factory=dict)
    """By service."""
    holding: dict[str, Holding] = attrs.field(factory=dict)
    """By service."""
    bystanders: set[FleetName] = attrs.field(factory=set)
    """Fleets that nobody may touch."""
    _tokens: Tokens = attrs.field(init=False)
    _sent: dict[Request, Intent] = attrs.field(factory=dict)

    def __attrs_post_init__(self) -> None:
        """Begin with no token used."""
        self._tokens = Tokens(self.judge)

    def look_after(self, service: str) -> None:
        """Judge what happens to a service from here on."""
        if service in self.books:
            return
        self.books[service] = Book(self.judge, service)
        self.holding[service] = Holding(self.judge, self.cloud)
        self.traffic[service] = Traffic(
            self.judge, self.cloud, self.books[service], self.holding[service]
        )

    def sent(self, request: Request) -> None:
        """Judge an effect that is asked for."""
        if request.call in UNJOURNALLED:
            return
        intent = self._intent_of(request.process.name)
        check_intended(request, intent, self.judge)
        self._tokens.sent(request)
        if intent is not None:
            self._sent[request] = intent
            for holding in self.holding.values():
                holding.sent(intent)

    def fleet_changed(
        self,
        request: Request,
        name: FleetName,
        before: Fleet | None,
        after: Fleet | None,
    ) -> None:
        """Judge a fleet that was made, changed or ended."""
        self._check_stranger(request, name)
        for holding in self.holding.values():
            holding.changed(request, before)
        if after is not None:
            self._check_tags(after)
        elif before is not None:
            for traffic in self.traffic.values():
                traffic.destroyed(before)

    def switch_changed(
        self, request: Request, service: str, before: Register, after: Register
    ) -> None:
        """Judge what a switch holds now."""
        traffic = self.traffic.get(service)
        if traffic is None:
            return
        for place in before.places:
            if after.place_of(place.fleet) is None:
                traffic.detached(place.fleet)
        if after.routing != before.routing:
            traffic.routed(request, self._sent.get(request), before, after)

    def appended(
        self, request: Request, stream: str, sequence: int, record: bytes
    ) -> None:
        """Judge a record that the ledger has now."""
        service = stream.removeprefix(SERVICE)
        if service not in self.books:
            return
        written = self.books[service].append(sequence, record)
        if written.by != request.process.name:
            message = f"{request.process.name} wrote in the name of {written.by}"
            raise self.judge.condemn("holder", message)
        self.holding[service].appended(written.entry, self.books[service].state)
        if isinstance(written.entry, Finished):
            self.traffic[service].ended(written.entry)

    def _intent_of(self, process: str) -> Intent | None:
        found = [
            book.intents[process]
            for book in self.books.values()
            if process in book.intents
        ]
        return max(found, key=lambda intent: intent.record.at, default=None)

    def _check_stranger(self, request: Request, name: FleetName) -> None:
        if name in self.bystanders:
            raise self.judge.condemn("stranger", f"{request.call} of {name}")

    def _check_tags(self, fleet: Fleet) -> None:
        tags = dict(fleet.tags)
        if missing := [key for key in _TAGS if not tags.get(key)]:
            message = f"{fleet.name} does not say {', '.join(missing)}"
            raise self.judge.condemn("tags", message)
