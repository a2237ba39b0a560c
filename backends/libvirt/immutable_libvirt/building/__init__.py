"""How images are made, and what a guest expects to be given."""
