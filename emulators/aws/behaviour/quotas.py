"""Quotas: how many vCPUs may run, and how many rules a listener may have."""

from collections.abc import Mapping

from moto.ec2.models.instance_types import INSTANCE_TYPES

VCPUS = "L-1216C47A"
"""Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances."""


def vcpus_of(instance_type: str) -> int:
    """Return how many vCPUs a type of instance has."""
    found = INSTANCE_TYPES.get(instance_type, {})
    info = found.get("VCpuInfo", {}) if isinstance(found, Mapping) else {}
    return int(info.get("DefaultVCpus", 1))
