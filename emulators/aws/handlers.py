"""Every handler there is, in the order in which they are asked."""

from emulators.aws.behaviour import balancing, ending, launching, targets, tokens
from emulators.aws.groups import changing, engine, reading, writing
from emulators.aws.world import Tick

# Of two that handle the same operation, the first of these is asked first.
HANDLERS = (
    tokens,
    launching,
    ending,
    balancing,
    targets,
    reading,
    writing,
    changing,
)
TICKS: tuple[Tick, ...] = (engine.tick,)
