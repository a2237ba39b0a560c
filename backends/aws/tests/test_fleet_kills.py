"""Whoever works on a fleet may die at any call: the same again, and one fleet is there.

Each call is the last one in turn: before its effect, and after it. Nothing is repeated but
what the engine repeats, the whole operation under its token, by another process that knows
nothing of the first.
"""

import contextlib
import threading
from collections.abc import Callable
from datetime import timedelta
from itertools import count

import attrs
import pytest
from specs import LEDGER, NAME, SERVICE, TOKEN, spec_of

from emulators.aws.account import Account
from immutable.authoring import wait_until
from immutable.errors import Ambiguous
from immutable.model import (
    FleetSpec,
)
from immutable_aws.config import AwsConfig
from immutable_aws.fleet import AwsFleets
from immutable_aws.inventory import inventory
from immutable_aws.session import Aws, aws_of

pytestmark = pytest.mark.usefixtures("hurried")


class Killed(BaseException):
    """The process is dead; nothing catches this."""


class Mortal(Aws):
    """Calls AWS until it dies, at one call: before it, or when it has been made."""

    def __init__(self, whole, *, last, after):
        super().__init__(whole.place)
        # clients know nothing of a process; making new ones takes seconds
        self.reads, self.changes = whole.reads, whole.changes
        self._last = last
        self._after = after
        self._counting = threading.Lock()
        self.made = 0

    def read(self, operation, resource, call):
        """Make a reading call."""
        return self._until_death(lambda: Aws.read(self, operation, resource, call))

    def change(self, operation, resource, call):
        """Make a changing call."""
        return self._until_death(lambda: Aws.change(self, operation, resource, call))

    def _until_death(self, call):
        with self._counting:
            self.made += 1
            mine = self.made
        if mine > self._last or (mine == self._last and not self._after):
            raise Killed
        answer = call()
        if mine == self._last:
            raise Killed
        return answer


@attrs.frozen(kw_only=True)
class Work:
    """What one operation is, from what it begins, and what must be true at its end."""

    ready: Callable
    do: Callable
    size: int
    gone: Callable = lambda _ids: ()
    kept: Callable = lambda ids: ids


def _launch(fleets, spec):
    fleets.launch(spec, token=TOKEN)


def _nothing(_fleets, _spec):
    return None


def _shrink(fleets, spec, ids):
    fleets.resize(attrs.evolve(spec, size=1), remove=(ids[0],), token=TOKEN)


def _exchange(fleets, spec, ids):
    fleets.resize(attrs.evolve(spec, size=3), remove=(ids[0],), token=TOKEN)


def _grow(fleets, spec, _ids):
    fleets.resize(attrs.evolve(spec, size=4), remove=(), token=TOKEN)


def _replace(fleets, spec, ids):
    fleets.replace(spec, instance=ids[0], token=TOKEN)


WORKS = {
    "launch": Work(ready=_nothing, do=lambda f, spec, _ids: _launch(f, spec), size=2),
    "shrink": Work(
        ready=_launch, do=_shrink, size=1, gone=lambda i: i[:1], kept=lambda i: i[1:]
    ),
    "exchange": Work(
        ready=_launch, do=_exchange, size=3, gone=lambda i: i[:1], kept=lambda i: i[1:]
    ),
    "grow": Work(ready=_launch, do=_grow, size=4),
    "replace": Work(
        ready=_launch, do=_replace, size=2, gone=lambda i: i[:1], kept=lambda i: i[1:]
    ),
    "freeze": Work(
        ready=_launch, do=lambda f, _s, _i: f.freeze(NAME, token=TOKEN), size=2
    ),
    "thaw": Work(
        ready=_launch, do=lambda f, _s, _i: f.thaw(NAME, like=None, token=TOKEN), size=2
    ),
}


# the others take minutes together
_PARAMS = [
    pytest.param(name, marks=() if name in {"launch", "thaw"} else pytest.mark.matrix)
    for name in WORKS
]


def _deaths(begin, do):
    """Let ``do`` die at each of its calls, before and after; yield where, each time."""
    for after in (False, True):
        for last in count(1):
            state = begin()
            aws = Mortal(state.aws, last=last, after=after)
            try:
                do(AwsFleets(state.config, aws), state)
            except Killed:
                yield f"{'after' if after else 'before'} call {last}", state
            else:
                break


@attrs.frozen(kw_only=True)
class State:
    """A fresh account in which the work is about to begin."""

    account: Account
    config: AwsConfig
    aws: Aws
    spec: FleetSpec
    ids: tuple


def _begin(emulator, ready):
    emulator.reset()
    emulator.configure(image_s=0)
    account = Account.make(emulator)
    config = AwsConfig(region=account.region)
    aws = aws_of(config.place)
    fleets = AwsFleets(config, aws)
    spec = spec_of(account)
    ready(fleets, spec)
    view = fleets.observe(NAME)
    ids = tuple(i.id for i in view.alive) if view else ()
    return State(account=account, config=config, aws=aws, spec=spec, ids=ids)


def _inventory(aws):
    """Return what exists, except logs, which stay."""
    found = inventory(aws, service=SERVICE, ledger=LEDGER)
    return {name for name in found if not name.startswith("log group ")}


def _settled(aws, wanted):
    """Wait until what exists is as wanted: instances take a while to be terminated."""
    seen = []

    def look():
        seen.append(_inventory(aws))
        return seen[-1] == wanted or None

    with contextlib.suppress(Ambiguous):
        wait_until(
            look,
            "what exists",
            within=timedelta(seconds=20),
            every=timedelta(seconds=0.2),
        )
    return seen[-1]


@pytest.mark.parametrize("name", _PARAMS)
def test_the_same_again_completes_it_wherever_it_died(emulator, ran, name):
    """One group, one template, as many instances as wanted, and those of before."""
    work, tried = WORKS[name], 0

    def do(fleets, state):
        work.do(fleets, state.spec, state.ids)

    for where, state in _deaths(lambda: _begin(emulator, work.ready), do):
        tried += 1
        fleets = AwsFleets(state.config, state.aws)
        do(fleets, state)
        view = fleets.observe(NAME)
        ids = [i.id for i in view.alive]
        assert len(ids) == work.size, where
        assert view.desired_size == work.size, where
        assert view.frozen is (name != "thaw"), where
        assert not set(work.gone(state.ids)) & set(ids), where
        assert set(work.kept(state.ids)) <= set(ids), where
        wanted = {f"group {NAME}", f"template {NAME}"}
        wanted |= {f"instance {i}" for i in ids}
        assert _settled(state.aws, wanted) == wanted, where
    assert tried >= 2
    ran(f"deaths in {name} of a fleet: {tried}")


@pytest.mark.parametrize(
    "launched", [False, pytest.param(True, marks=pytest.mark.matrix)]
)
def test_retiring_again_leaves_nothing_wherever_it_died(emulator, ran, launched):
    """Of a whole fleet, and of one that died in its launch."""
    tried = 0

    def begin():
        state = _begin(emulator, _launch if launched else _half_launched)
        state.account.displace(state.spec.place)
        return state

    for where, state in _deaths(begin, lambda f, _s: f.retire(NAME, token=TOKEN)):
        tried += 1
        fleets = AwsFleets(state.config, state.aws)
        fleets.retire(NAME, token=TOKEN)
        assert _inventory(state.aws) == set(), where
        assert fleets.observe(NAME) is None, where
    assert tried >= 8
    ran(f"deaths in retiring a fleet: {tried}")


def _half_launched(fleets, spec):
    """Launch until the template is made, and die."""
    config = AwsConfig(region="eu-west-1")
    mortal = Mortal(aws_of(config.place), last=3, after=True)
    with pytest.raises(Killed):
        AwsFleets(config, mortal).launch(spec, token=TOKEN)
    assert fleets.observe(NAME).instances == ()


@pytest.mark.parametrize("last", range(1, 7))
def test_what_died_in_its_launch_is_found_and_retired(account, last):
    """Found by its tags alone, as soon as there is anything; nothing of it is left."""
    config = AwsConfig(region=account.region)
    spec = spec_of(account)
    aws = aws_of(config.place)
    mortal = Mortal(aws, last=last, after=True)
    with pytest.raises(Killed):
        AwsFleets(config, mortal).launch(spec, token=TOKEN)
    fleets = AwsFleets(config, aws)
    found = fleets.list(service=SERVICE, ledger=LEDGER)
    there = _inventory(aws)
    assert bool(found) == any(e.startswith("template ") for e in there)
    account.displace(spec.place)
    for view in found:
        fleets.retire(view.name, token=TOKEN)
    assert _inventory(aws) == set()


def test_a_launch_that_is_late_cannot_bring_a_retired_fleet_back(account):
    """Its last call was under way when the fleet was retired: it finds no template."""
    config = AwsConfig(region=account.region)
    spec = spec_of(account)
    late: list[Callable] = []

    class Late(Aws):
        """Sends nothing: what would create the group is sent later."""

        def change(self, operation, resource, call):
            if operation.endswith("CreateAutoScalingGroup"):
                late.append(call)
                raise Killed
            return super().change(operation, resource, call)

    with pytest.raises(Killed):
        AwsFleets(config, Late(config.place)).launch(spec, token=TOKEN)
    fleets = AwsFleets(config, aws_of(config.place))
    account.displace(spec.place)
    fleets.retire(NAME, token=TOKEN)
    with pytest.raises(Exception, match="ValidationError"):
        late[0]()
    assert fleets.observe(NAME) is None
    assert fleets.list(service=SERVICE, ledger=LEDGER) == ()
