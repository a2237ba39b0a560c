"""Checks written for goss: read as checks of ours, or run by the image's own goss."""

from immutable.images.proof.gossfiles.program import GossProgram, goss_program
from immutable.images.proof.gossfiles.reading import goss

__all__ = ["GossProgram", "goss", "goss_program"]
