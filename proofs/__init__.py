"""Proofs that take minutes: the promises, tried on real processes and machines."""
