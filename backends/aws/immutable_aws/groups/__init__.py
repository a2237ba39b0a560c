"""Fleets as Auto Scaling groups: the calls, what they say, and each thing that is done to one."""
