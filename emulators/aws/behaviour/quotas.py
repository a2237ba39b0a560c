"""Quotas: those that are enforced can be read."""

import json
from collections.abc import Mapping

from moto.ec2.models.instance_types import INSTANCE_TYPES

from emulators.aws.hooks import Call, handles

VCPUS = "L-1216C47A"
"""Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances."""
SPOT_VCPUS = "L-34B43A08"
"""All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests."""
RULES = "L-E7CDB2C2"
GROUPS = "L-CDE20ADC"


def vcpus_of(instance_type: str) -> int:
    """Return how many vCPUs a type of instance has."""
    found = INSTANCE_TYPES.get(instance_type, {})
    info = found.get("VCpuInfo", {}) if isinstance(found, Mapping) else {}
    return int(info.get("DefaultVCpus", 1))


@handles("service-quotas", "GetServiceQuota", "GetAWSDefaultServiceQuota")
def quota_can_be_read(call: Call) -> object:
    """Tell the quotas that are enforced here.

    Source: Service Quotas, ``ec2`` L-1216C47A (vCPUs of running on-demand standard
    instances) and L-34B43A08 (of spot instances), ``elasticloadbalancing`` L-E7CDB2C2 and
    others. moto knows those of VPCs.
    """
    code = call.params.text("QuotaCode")
    known = _quotas(call)
    if code not in known:
        return call.proceed()
    return json.dumps({"Quota": known[code]})


@handles("service-quotas", "ListServiceQuotas", "ListAWSDefaultServiceQuotas")
def quotas_can_be_listed(call: Call) -> object:
    """Tell all of a service's quotas that are enforced; see ``quota_can_be_read``."""
    service = call.params.text("ServiceCode")
    found = [q for q in _quotas(call).values() if q["ServiceCode"] == service]
    return json.dumps({"Quotas": found})


def _quotas(call: Call) -> dict[str, dict[str, object]]:
    vcpus = float(call.world.settings.vcpus)
    spot_vcpus = float(call.world.settings.spot_vcpus)
    groups = float(call.world.settings.groups)
    rows: list[tuple[str, str, str, float]] = [
        ("ec2", VCPUS, "Running On-Demand Standard instances", vcpus),
        ("ec2", SPOT_VCPUS, "All Standard Spot Instance Requests", spot_vcpus),
        ("elasticloadbalancing", RULES, "Rules per Application Load Balancer", 100.0),
        ("autoscaling", GROUPS, "Auto Scaling groups per region", groups),
    ]
    return {
        code: {
            "ServiceCode": service,
            "QuotaCode": code,
            "QuotaName": name,
            "Value": value,
            "Unit": "None",
            "Adjustable": True,
            "GlobalQuota": False,
        }
        for service, code, name, value in rows
    }
