"""The algorithm: a pure `decide`, the steps it can choose, and one loop around it.

Read in this order: `steps`, `facts`, `decide`, `rules`, `aborting`, `loop`.
"""
