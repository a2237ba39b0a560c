"""Whether an image is sealed: nothing in it of those who built it, and no secret."""

from immutable.images.proof.sealing.check import RULES, Sealed, sealed

__all__ = ["RULES", "Sealed", "sealed"]
