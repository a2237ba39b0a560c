"""Real deployers killed by a real SIGKILL, under traffic: ``python -m proofs.sigkill``."""
