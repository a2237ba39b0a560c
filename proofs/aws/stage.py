"""One emulated AWS with a service that lives on, and services that begin and end."""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import attrs

import immutable
from emulators import aws
from emulators.aws.account import REGION, Account
from immutable.ledger.state import FleetEntry, State
from immutable.model import ServiceName
from immutable.results import Deployment
from proofs.aws.census import World, look, problems, visits
from proofs.aws.site import SIZE, Site, listen
from proofs.aws.verbs import Verb, call

_LASTING, _FRESH = ServiceName("lasting"), ServiceName("fresh")
_PORTS = (8101, 8102)
_SETTLING_S = 20.0
_PAUSE_S = 0.05
SETTINGS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_REGION": REGION,
    "AWS_DEFAULT_REGION": REGION,
}


@attrs.define(eq=False, kw_only=True)
class Stage:
    """Where deployers die, and what is true before and after."""

    account: Account
    directory: Path
    images: dict[str, str]
    """What a release calls itself → the id of its image."""
    lasting: Site
    listener: str
    """The one of services that begin and end."""
    _numbers: "itertools.count[int]" = attrs.field(factory=itertools.count, init=False)

    def fresh(self) -> Site:
        """Return a service that was never deployed."""
        number = next(self._numbers)
        return Site(
            name=_FRESH,
            ledger=self.directory / f"fresh-{number}.db",
            listener=self.listener,
            subnets=self.account.subnets,
        )

    def url(self, site: Site) -> str:
        """Return where clients of a service connect."""
        return self.account.emulator.address_of(site.listener)

    def release(self, entry: FleetEntry | None) -> str:
        """Return what a fleet's release calls itself; empty where there is none."""
        if entry is None:
            return ""
        named = {image: name for name, image in self.images.items()}
        return named[entry.release.image.id]

    def live(self, site: Site) -> str:
        """Return which release is live by the ledger."""
        return self.release(site.journal().state.live)

    def prepare(self, verb: Verb) -> Site:
        """Bring a service to where the verb always does the same, and return it."""
        if verb.is_fresh:
            site = self.fresh()
            if verb is Verb.DESTROY:
                good(call(Verb.FIRST, site, self.images["one"]))
            return site
        while (first := _needed(verb, self.lasting.journal().state)) is not None:
            good(call(first, self.lasting, self.images[self.other()]))
        if verb is Verb.HEAL:
            self._hurt()
        return self.lasting

    def aim(self, verb: Verb) -> str:
        """Return the release that the verb deploys."""
        if verb is Verb.REJECT:
            return "bad"
        return "one" if verb.is_fresh else self.other()

    def other(self) -> str:
        """Return the release that is not live."""
        return "two" if self.live(self.lasting) == "one" else "one"

    def settled(self, site: Site) -> tuple[World, tuple[str, ...]]:
        """Return what there is when groups have done their work, and what is wrong then."""
        return self.until(site, lambda world: tuple(self._wrong(site, world)))

    def until(
        self, site: Site, wrong: Callable[[World], tuple[str, ...]]
    ) -> tuple[World, tuple[str, ...]]:
        """Return what is still wrong after a while; nothing as soon as nothing is."""
        deadline = time.monotonic() + _SETTLING_S
        while (found := wrong(world := self.look(site))) and (
            time.monotonic() < deadline
        ):
            time.sleep(_PAUSE_S)
        return world, found

    def look(self, site: Site) -> World:
        """Ask AWS what there is of a service."""
        return look(self.account, site)

    def clear(self, site: Site) -> None:
        """Take away what a service's switch keeps, as its owner may after ten minutes."""
        elbv2 = self.account.elbv2
        for rule in elbv2.describe_rules(ListenerArn=site.listener)["Rules"]:
            if not rule["IsDefault"]:
                elbv2.delete_rule(RuleArn=rule["RuleArn"])

    def _wrong(self, site: Site, world: World) -> Iterator[str]:
        state = site.journal().state
        yield from problems(world, state)
        if (seen := visits(self.url(site))) != {self.release(state.live)}:
            yield f"clients get {sorted(seen)}, live is {self.release(state.live)!r}"

    def _hurt(self) -> None:
        state = self.lasting.journal().state
        groups = self.look(self.lasting).groups
        if state.live is not None:
            victim = min(groups[state.live.name].instances)
            self.account.emulator.kill(victim, state="terminated")


def good(done: Deployment) -> Deployment:
    """Return what went well.

    Raises:
        RuntimeError: it did not, though nobody disturbed it.
    """
    if done.error is not None:
        raise RuntimeError(f"undisturbed it ended {done.outcome}: {done.error!r}")
    return done


def _needed(verb: Verb, state: State) -> Verb | None:
    """Return what to do first."""
    if state.live is None:
        return Verb.DEPLOY
    if verb is Verb.SHRINK:
        return None if state.live.size > SIZE else Verb.GROW
    if state.live.size > SIZE:
        return Verb.SHRINK
    return Verb.DEPLOY if verb is Verb.ROLLBACK and state.standby is None else None


@contextmanager
def staged(directory: Path) -> Iterator[Stage]:
    """Run an emulated AWS with a service on its second release; nothing may be left."""
    settings = aws.Settings(boot_s=0.05, halt_s=0.05)
    with aws.start(settings) as emulator:
        environment = SETTINGS | {"AWS_ENDPOINT_URL": emulator.url}
        with mock.patch.dict("os.environ", environment):
            stage = _founded(Account.make(emulator), directory)
            for name in ("one", "two"):
                good(immutable.deploy(stage.lasting.service(), stage.images[name]))
            yield stage
        if bugs := emulator.bugs():
            raise RuntimeError(f"the emulator itself went wrong: {bugs}")


def _founded(account: Account, directory: Path) -> Stage:
    first, second = (listen(account, port) for port in _PORTS)
    return Stage(
        account=account,
        directory=directory,
        images={
            "one": account.image("release=one"),
            "two": account.image("release=two"),
            "bad": account.image("release=bad fail=/proof"),
        },
        lasting=Site(
            name=_LASTING,
            ledger=directory / "lasting.db",
            listener=first,
            subnets=account.subnets,
        ),
        listener=second,
    )
