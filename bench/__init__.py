"""How fast, and beside what: each figure stands next to its floor or peer of the same run."""
