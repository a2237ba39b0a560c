"""Deployers on the emulated AWS that die, or whose calls fail: ``python -m proofs.aws``."""
