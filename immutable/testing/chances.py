"""Seeded randomness: every draw of a simulation comes from one of these streams."""

import random

Chance = random.Random


def seeded(seed: int, stream: str) -> Chance:
    """Return a stream of draws that depends on the seed and the stream's name alone.

    Streams are kept apart, so that one more draw of one kind does not shift the others.
    """
    return Chance(f"{seed}/{stream}")
