"""Every handler there is, in the order in which they are asked."""

from emulators.aws.behaviour import (
    balancing,
    ending,
    images,
    launching,
    metering,
    paging,
    permissions,
    quotas,
    rules,
    targets,
    templates,
    tokens,
)
from emulators.aws.groups import changing, engine, policies, reading, writing
from emulators.aws.world import Tick

# Of two that handle the same operation, the first of these is asked first. What looks at
# what has been done (``balancing``) comes before what may answer by itself.
HANDLERS = (
    tokens,
    paging,
    balancing,
    rules,
    launching,
    ending,
    templates,
    images,
    quotas,
    permissions,
    targets,
    reading,
    writing,
    changing,
    policies,
)
TICKS: tuple[Tick, ...] = (engine.tick, metering.tick)
