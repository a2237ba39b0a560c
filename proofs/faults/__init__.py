"""Every call, everything that can go wrong with it, and that first, twice, and always.

The calls are those that an undisturbed run makes, and what can go wrong with each of them
is what the simulation offers: the proof fails when a cell of that matrix did not strike.
"""
