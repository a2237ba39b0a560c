"""Single servers, ledger stores and validators that break the contract."""

# ruff: noqa: D101, D103 - what is wrong with each is said in the tables below

import time

import attrs
from broken import Altered, Defect
from servers import Servers

from immutable.errors import BackendError, SequenceTaken
from immutable.fleets import MachineFleets
from immutable.model import InstanceState
from immutable.testing.conformance.book import Book


class Duplicates(Servers):
    def create(self, spec):
        if spec.name in self.rows:
            spec = attrs.evolve(spec, name=f"{spec.name}-again")
        return super().create(spec)


class WithoutTags(Servers):
    def list(self):
        return tuple((instance, tags[-1:]) for instance, tags in super().list())


class AdoptsAnything(Servers):
    def create(self, spec):
        self.rows.pop(spec.name, None)
        return super().create(spec)


class DestroysOnce(Servers):
    def destroy(self, instance):
        if instance not in self.rows:
            raise BackendError(f"no server {instance}")
        super().destroy(instance)


class NeverGone(Servers):
    def list(self):
        return tuple(
            (attrs.evolve(instance, state=InstanceState.RUNNING), tags)
            for instance, tags in super().list()
        )


def machines(name: str, kind: type[Servers], found_by: str) -> Defect:
    """Return a defect of single servers."""
    made: list[Servers] = []

    def make():
        made.append(kind())
        return made[-1]

    return Defect(
        name=name,
        machines=make,
        backend=lambda _lab, b: Altered(b, fleets=MachineFleets(machines=made[-1])),
        found_by=(f"machines: {found_by}",),
    )


MACHINES = (
    machines("creates twice", Duplicates, "a server is created once"),
    machines(
        "loses servers' tags",
        WithoutTags,
        "a server is listed with its tags and origin",
    ),
    machines(
        "uses a name for something else",
        AdoptsAnything,
        "a name is never used for anything else",
    ),
    machines(
        "destroys only what is there",
        DestroysOnce,
        "destroying is repeat-safe, and exact",
    ),
    machines("lists no deaths", NeverGone, "a server that died is listed as gone"),
)


class Overwrites(Book):
    def append(self, stream, sequence, record):
        self._streams.setdefault(stream, {})[sequence] = record


class OutOfOrder(Book):
    def read(self, stream, *, after, limit):
        rows = self._streams.get(stream, {})
        later = sorted((n for n in rows if n > after), key=str)
        return tuple((n, rows[n]) for n in later[:limit])


class PagesOverlap(Book):
    def read(self, stream, *, after, limit):
        return super().read(stream, after=max(after - 1, 0), limit=limit)


class NeverEmpty(Book):
    def last(self, stream):
        return super().last(stream) or (0, b"")


class OneStream(Book):
    def append(self, stream, sequence, record):
        super().append(stream[:10], sequence, record)

    def read(self, stream, *, after, limit):
        return super().read(stream[:10], after=after, limit=limit)

    def last(self, stream):
        return super().last(stream[:10])


class OnlyText(Book):
    def append(self, stream, sequence, record):
        text = record.decode(errors="replace").strip()
        super().append(stream, sequence, text.encode())


class LooksThenWrites(Book):
    def append(self, stream, sequence, record):
        rows = self._streams.setdefault(stream, {})
        if sequence in rows:
            raise SequenceTaken(f"{sequence} is taken")
        time.sleep(0.01)
        rows[sequence] = record


class SaysNothing(Book):
    def append(self, stream, sequence, record):
        try:
            super().append(stream, sequence, record)
        except SequenceTaken:
            return


LEDGERS = {
    "overwrites": (Overwrites, "ledger: a number is given once"),
    "reads out of order": (
        OutOfOrder,
        "ledger: records are read as they were written, in order",
    ),
    "has pages that overlap": (PagesOverlap, "ledger: reading goes by pages"),
    "is never empty": (NeverEmpty, "ledger: a new stream is empty"),
    "mixes streams": (OneStream, "ledger: streams are independent"),
    "keeps text only": (OnlyText, "ledger: every byte comes back"),
    "looks, then writes": (LooksThenWrites, "ledger: of writers at once one wins"),
    "swallows that a number is taken": (SaysNothing, "ledger: a number is given once"),
    "remembers in the object": (Book, "ledger: what was stored is there for others"),
}


def takes_nothing():
    return True


def only_on_preview(target):
    return not target.live


def never_fails(_target):
    return True


def every_other():
    answers = iter([True, False, False, True] * 9)
    return lambda _target: next(answers)


def hangs(target):
    time.sleep(2)
    return True


VALIDATORS = {
    "takes no target": (takes_nothing, "validators: it takes a target and has a name"),
    "passes on preview only": (
        only_on_preview,
        "validators: what is good passes, on both routes",
    ),
    "never fails": (never_fails, "validators: what is bad fails"),
    "changes its mind": (
        every_other,
        "validators: the same thing gets the same verdict",
    ),
    "passes what does not answer": (never_fails, "validators: no answer is no pass"),
    "hangs": (hangs, "validators: it answers in time, whatever it meets"),
}
