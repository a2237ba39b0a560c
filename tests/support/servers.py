"""Single servers in memory: `immutable.machines.Machines`, and nothing else."""

import threading

import attrs

from immutable.errors import Taken
from immutable.model import Instance, InstanceId, InstanceState, pairs


class Servers:
    """Servers that are there as soon as they are created."""

    def __init__(self):
        self.lock = threading.Lock()
        self.rows = {}

    def create(self, spec):
        tags = pairs(spec.fleet.tags.to_mapping())
        with self.lock:
            if spec.name in self.rows:
                instance, known = self.rows[spec.name]
                if known != tags:
                    raise Taken(f"{spec.name} is somebody else's")
                return instance
            instance = Instance(
                id=InstanceId(spec.name),
                fleet=spec.fleet.name,
                state=InstanceState.RUNNING,
                address="127.0.0.1",
                digest=spec.fleet.tags.digest[:16],
                image=spec.fleet.image.id,
                document=spec.fleet.document,
            )
            self.rows[spec.name] = instance, tags
            return instance

    def list(self):
        with self.lock:
            return tuple(self.rows[name] for name in sorted(self.rows))

    def destroy(self, instance):
        with self.lock:
            self.rows.pop(instance, None)

    def kill(self, instance):
        """Let a server die."""
        with self.lock:
            found, tags = self.rows[instance]
            gone = attrs.evolve(found, state=InstanceState.GONE)
            self.rows[instance] = gone, tags
