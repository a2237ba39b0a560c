"""The emulator's own interface, beside the one of AWS: ``/__emulator/…``."""

import json
from collections.abc import Callable, Iterable
from urllib.parse import parse_qs

import attrs

from emulators.aws.behaviour.booting import move
from emulators.aws.counting import Calls
from emulators.aws.spoiling import Cut, When
from emulators.aws.world import World
from emulators.plane.behaviour import Behaviour

Environ = dict[str, object]
Start = Callable[..., object]


@attrs.define(eq=False, kw_only=True)
class Control:
    """Answers what tests ask about the emulator, and does what they tell it."""

    world: World
    calls: Calls

    def __call__(self, environ: Environ, start: Start) -> Iterable[bytes]:
        """Answer one request."""
        name = str(environ["PATH_INFO"]).removeprefix("/__emulator/")
        query = parse_qs(str(environ.get("QUERY_STRING", "")), keep_blank_values=True)
        asked = {key: values[-1] for key, values in query.items()}
        verb = _VERBS.get(name)
        if verb is None:
            return _told(start, "404 Not Found", {"known": sorted(_VERBS)})
        try:
            with self.world.held():
                found = verb(self, asked)
        except (KeyError, TypeError, ValueError) as error:
            return _told(start, "400 Bad Request", {"error": repr(error)})
        return _told(start, "200 OK", found)

    def state(self, _: dict[str, str]) -> object:
        """Tell where everything is."""
        world = self.world
        return {
            "network": world.addresses.network,
            "bugs": world.bugs,
            "cuts": world.cuts.left,
            "settings": attrs.asdict(world.settings),
            "pools": {arn: pool.probes for arn, pool in world.pools.items()},
            "listeners": {arn: each.url for arn, each in world.listeners.items()},
            "machines": {
                machine.id: {
                    "address": machine.address,
                    "ports": machine.ports,
                    "release": machine.release,
                    "image": machine.image,
                    "served": machine.served,
                    "console": machine.console,
                    "state": world.instances[machine.id].state,
                }
                for machine in world.machines.values()
            },
        }

    def called(self, asked: dict[str, str]) -> object:
        """Tell what was called; with ``clear``, count anew from here."""
        found = self.calls.told()
        if asked.get("clear"):
            self.calls.clear()
        return found

    def reset(self, _: dict[str, str]) -> object:
        """Forget everything."""
        self.world.reset()
        self.calls.clear()
        return {}

    def configure(self, asked: dict[str, str]) -> object:
        """Change settings, given as a JSON object."""
        self.world.settings = self.world.settings.changed(asked["settings"])
        for listener in self.world.listeners.values():
            listener.spread_s = self.world.settings.spread_s
        return attrs.asdict(self.world.settings)

    def cut(self, asked: dict[str, str]) -> object:
        """Cut the connection of a call to come."""
        when: When = "before" if asked["when"] == "before" else "after"
        cut = Cut(name=asked["name"], when=when, skip=int(asked["skip"]))
        self.world.cuts.add(cut)
        return {}

    def behave(self, asked: dict[str, str]) -> object:
        """Say what the machines of an image do that boot from now on."""
        self.world.behaviours[asked["image"]] = Behaviour.parse(asked["words"])
        return {}

    def change(self, asked: dict[str, str]) -> object:
        """Say what one machine does from now on; its ports stay as they are."""
        machine = self.world.machines[asked["instance"]]
        machine.behaviour = Behaviour.parse(asked["words"])
        return {}

    def kill(self, asked: dict[str, str]) -> object:
        """End the application of an instance, or the whole instance with ``state``."""
        machine = self.world.machines[asked["instance"]]
        self.world.runner.run(machine.halt())
        if asked.get("state"):
            move(self.world.instances[machine.id], asked["state"])
        return {}


_VERBS: dict[str, Callable[[Control, dict[str, str]], object]] = {
    "state": Control.state,
    "calls": Control.called,
    "reset": Control.reset,
    "configure": Control.configure,
    "cut": Control.cut,
    "behave": Control.behave,
    "change": Control.change,
    "kill": Control.kill,
}


def _told(start: Start, status: str, found: object) -> Iterable[bytes]:
    body = json.dumps(found, default=str).encode()
    length = ("content-length", str(len(body)))
    start(status, [("content-type", "application/json"), length])
    return [body]
