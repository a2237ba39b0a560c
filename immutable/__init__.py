"""Immutable infrastructure as a library: build once, prove, switch in one step."""
