"""Parts with the wrong methods are refused when they are opened, with both shapes."""

import attrs
import pytest
from fakes import MemoryStore

from immutable import registry
from immutable.errors import Unsupported
from immutable.fleets import MachineFleets
from immutable.model import ServiceName
from immutable.protocols import LedgerStore
from immutable.shapes import problems
from immutable.testing import Provider, Simulation

SHOP = ServiceName("shop")


class NoLast:
    """A store without one of the methods."""

    def append(self, stream, sequence, record):
        """Do nothing."""

    def read(self, stream, *, after, limit):
        """Do nothing."""


class Other:
    """Every method is there, in another shape."""

    def append(self, stream, record):
        """Take one argument too few."""

    def read(self, stream, *, start, limit):
        """Take an argument of another name."""

    def last(self, stream, *, cached=False):
        """Take more than is asked for, which is no problem."""


class Declaring:
    """Another backend, with other capabilities."""

    def __init__(self, inner, capabilities):
        self.inner, self.capabilities = inner, capabilities

    def __getattr__(self, name):
        """Return what the other has."""
        return getattr(self.inner, name)


class Anything:
    """Takes whatever it is called with."""

    def append(self, *args):
        """Take any places."""

    def read(self, *args, **kwargs):
        """Take anything."""

    last = staticmethod(lambda stream: stream)


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (NoLast(), ["it has no last"]),
        (
            Other(),
            [
                "wanted append(stream, sequence, record), found append(stream, record)",
                "wanted read(stream, *, after, limit), found read(stream, *, start, limit)",
            ],
        ),
        (Anything(), []),
        (MemoryStore(), []),
    ],
)
def test_every_difference_is_told_with_both_shapes(part, expected):
    """Each method that could not be called as the engine does is named."""
    assert list(problems(part, LedgerStore)) == expected


def test_a_store_of_another_shape_is_refused_when_it_is_opened():
    """The error says what it is not, and every difference."""
    with pytest.raises(Unsupported, match=r"NoLast is no LedgerStore: it has no last"):
        registry.open_ledger(NoLast(), SHOP)


def test_a_backend_is_refused_for_one_of_its_sides():
    """The three sides of a backend are looked at, too."""
    sim = Simulation()
    backend = sim.backend
    registry.open_backend(backend)
    backend.logs = object()
    with pytest.raises(Unsupported, match=r"object is no Logs: it has no read"):
        registry.open_backend(backend)


@pytest.mark.parametrize(
    ("capability", "method"),
    [("keeps_records", "rebuild"), ("adopts_artefacts", "adopt")],
)
def test_a_backend_has_the_methods_that_it_declares(capability, method):
    """What more it says that its images can do is looked for when it is opened."""
    with Simulation() as sim:
        can = attrs.evolve(sim.backend.capabilities, **{capability: True})
        backend = Declaring(sim.backend, can)
        with pytest.raises(Unsupported, match=f"it has no {method}"):
            registry.open_backend(backend)


def test_a_backend_whose_provider_scales_can_hold_it_back():
    """Who declares it, and lacks a method for it, is refused when it is opened."""

    @attrs.define
    class Plain:
        """Fleets that know of nothing else."""

        inner: object

        def __getattr__(self, name):
            if name in {"freeze", "thaw"}:
                raise AttributeError(name)
            return getattr(self.inner, name)

    with Simulation(provider=Provider().with_groups()) as sim:
        registry.open_backend(sim.backend)
        sim.backend.fleets = Plain(sim.backend.fleets)
        with pytest.raises(Unsupported, match=r"no Groups: it has no freeze; .*thaw"):
            registry.open_backend(sim.backend)


def test_a_switch_of_another_shape_is_refused():
    """A switch is checked however it is given."""
    sim = Simulation()
    with pytest.raises(Unsupported, match=r"object is no Switch: it has no"):
        registry.open_switch(object(), sim.backend, SHOP, port=80)


def test_single_servers_are_checked_before_fleets_are_made_of_them():
    """A name that is no method is told apart from one that is missing."""

    @attrs.define
    class Servers:
        create: int = 1

        def list(self, fleet):
            return ()

    with pytest.raises(
        Unsupported,
        match=r"create cannot be called; wanted list\(\), found list\(fleet\); it has no des",
    ):
        MachineFleets(machines=Servers())
