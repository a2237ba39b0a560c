"""Planted bugs: a copy of the engine is broken on purpose, and a proof has to notice.

A proof that finds nothing proves something only when it would have found what is there.
"""
