"""What can be chosen about an emulated AWS, and changed while it runs."""

import json

import attrs


@attrs.frozen(kw_only=True)
class Settings:
    """How fast, how consistent and how generous the emulated AWS is.

    Durations in seconds are real ones. Durations that AWS's own parameters name, such as a
    health check's interval or a deregistration delay, are multiplied by ``scale``.
    """

    boot_s: float = 0.3
    """From RunInstances to running, unless the image's behaviour says otherwise."""
    halt_s: float = 0.1
    """From TerminateInstances to terminated."""
    image_s: float = 0.2
    """From CreateImage, CopyImage or RegisterImage to available."""
    snapshot_code: str = "success"
    """What DeregisterImage says of each snapshot; any other code leaves it there."""
    scale: float = 0.01
    nodes: int = 2
    """Nodes of a load balancer."""
    spread_s: float = 0.0
    """How much later than the first the last node hears of a change of rules."""
    stale_s: float = 0.0
    """How old a describe call's answer may be; new ids are not found for as long."""
    in_use_s: float = 0.0
    """How long a target group is called in use after what named it has gone."""
    vcpus: int = 5000
    """The quota of vCPUs of running on-demand standard instances, for each region."""
    spot_vcpus: int = 5000
    """The quota of vCPUs of standard spot instances, for each region."""
    groups: int = 200
    """The quota of Auto Scaling groups, for each region."""
    full: str = ""
    """Zones, with blanks between, that have no capacity left."""
    throttles: str = ""
    """Token buckets, as ``family=burst/per_second``, with blanks between; see README."""
    expired_keys: str = ""
    """Access keys, with blanks between, whose session has expired."""
    unknown_keys: str = ""
    """Access keys, with blanks between, that AWS does not know."""
    denied: str = ""
    """Actions, such as ``ec2:RunInstances``, that nobody is allowed."""

    @classmethod
    def parse(cls, text: str) -> "Settings":
        """Read what ``spell`` writes, or a part of it.

        Raises:
            TypeError: a name is not known.
        """
        return cls(**json.loads(text))

    def spell(self) -> str:
        """Return it as JSON."""
        return json.dumps(attrs.asdict(self))

    def changed(self, text: str) -> "Settings":
        """Return these with others instead, given as a JSON object.

        Raises:
            TypeError: a name is not known.
        """
        return attrs.evolve(self, **json.loads(text))
