"""How fast, and beside what: each figure with its floor or peer of the same run."""
