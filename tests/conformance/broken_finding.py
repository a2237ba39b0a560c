"""Backends that do not show fleets as they are."""

# ruff: noqa: D101 - what is wrong with each is said in DEFECTS, at the end

import attrs
from broken import Over
from broken_fleets import fleets

from immutable.model import FleetView, InstanceState


class EmptyInsteadOfNone(Over):
    def observe(self, fleet):
        return self.inner.observe(fleet) or FleetView(name=fleet, instances=())


class LosesTags(Over):
    def list(self, *, service, ledger):
        views = self.inner.list(service=service, ledger=ledger)
        return tuple(attrs.evolve(view, tags=view.tags[:1]) for view in views)


class WrongDigest(Over):
    def observe(self, fleet):
        view = self.inner.observe(fleet)
        if view is None:
            return None
        wrong = tuple(attrs.evolve(i, digest="0" * 16) for i in view.instances)
        return attrs.evolve(view, instances=wrong)


class LooksByPrefix(Over):
    def observe(self, fleet):
        view = self.inner.observe(fleet)
        prefix = fleet.rsplit("-", 2)[0]
        near = [s for s in self.lab.servers() if s.fleet.startswith(prefix)]
        return view and attrs.evolve(view, instances=tuple(near))


class IgnoresTheLedger(Over):
    def launch(self, spec, *, token):
        self.memory[spec.tags.ledger] = spec
        self.inner.launch(spec, token=token)

    def list(self, *, service, ledger):
        found = [
            self.inner.list(service=service, ledger=known) for known in self.memory
        ]
        return tuple(
            sorted((v for views in found for v in views), key=lambda v: v.name)
        )


class StaleForEver(Over):
    def observe(self, fleet):
        view = self.inner.observe(fleet)
        if view is not None:
            self.memory.setdefault(fleet, view)
        return self.memory.get(fleet)


class ComesBack(Over):
    def retire(self, fleet, *, token):
        view = self.inner.observe(fleet)
        self.inner.retire(fleet, token=token)
        self.memory[fleet] = [None, None, view]

    def observe(self, fleet):
        later = self.memory.get(fleet)
        return later.pop(0) if later else self.inner.observe(fleet)


class FirstPageOnly(Over):
    def observe(self, fleet):
        view = self.inner.observe(fleet)
        return view and attrs.evolve(view, instances=view.instances[:50])


class SamePageTwice(Over):
    def observe(self, fleet):
        view = self.inner.observe(fleet)
        if view is None or len(view.instances) <= 50:
            return view
        twice = (*view.instances[:50], *view.instances[:50])
        return attrs.evolve(view, instances=twice)


class RemembersInTheObject(Over):
    def __init__(self, inner):
        super().__init__(inner)
        self.own = set()

    def launch(self, spec, *, token):
        self.own.add(spec.name)
        self.inner.launch(spec, token=token)

    def observe(self, fleet):
        return self.inner.observe(fleet) if fleet in self.own else None


class TakesTheDeadForAlive(Over):
    def observe(self, fleet):
        view = self.inner.observe(fleet)
        if view is None:
            return None
        up = tuple(attrs.evolve(i, state=InstanceState.RUNNING) for i in view.instances)
        return attrs.evolve(view, instances=up)


class RaisesKeyError(Over):
    def observe(self, fleet):
        return {"": None}.get(fleet) if fleet == "x" else self._look(fleet)

    def _look(self, fleet):
        view = self.inner.observe(fleet)
        if view is None:
            raise KeyError(fleet)
        return view


DEFECTS = (
    fleets(
        "observes an empty fleet instead of none",
        EmptyInsteadOfNone,
        "fleets: an unknown fleet is observed as None",
    ),
    fleets(
        "loses tags", LosesTags, "fleets: tags are exact, and found without the ledger"
    ),
    fleets(
        "reports a wrong digest",
        WrongDigest,
        "fleets: instances say what they were launched from",
    ),
    fleets(
        "looks for instances by prefix",
        LooksByPrefix,
        "fleets: no two fleets share an instance",
    ),
    fleets(
        "lists other ledgers' fleets",
        IgnoresTheLedger,
        "fleets: only fleets with both tags are listed",
    ),
    fleets(
        "is stale for ever", StaleForEver, "fleets: what has changed is seen in time"
    ),
    fleets(
        "comes back after its end",
        ComesBack,
        "fleets: what was retired does not come back",
    ),
    fleets(
        "reads the first page only", FirstPageOnly, "fleets: big fleets are seen whole"
    ),
    fleets(
        "reads the same page twice", SamePageTwice, "fleets: big fleets are seen whole"
    ),
    fleets(
        "remembers in the object",
        RemembersInTheObject,
        "fleets: another process sees the same",
    ),
    fleets(
        "takes the dead for alive",
        TakesTheDeadForAlive,
        "fleets: a dead instance is seen as gone, and replaced",
    ),
    fleets(
        "raises a bare KeyError",
        RaisesKeyError,
        "opening: errors are of this library's tree",
    ),
)
