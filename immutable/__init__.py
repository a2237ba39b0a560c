"""Immutable infrastructure as a library: build once, prove, switch in one step.

A service is deployed by launching a whole new fleet from one image, proving it, and
moving traffic in one atomic step. A rollback is the same algorithm aimed at an earlier
release. See `deploy`.
"""

import logging

from immutable import errors, events
from immutable.api import (
    build,
    deploy,
    heal,
    history,
    logs,
    plan,
    recover,
    rollback,
    scale,
    status,
    sweep,
)
from immutable.errors import ImmutableError
from immutable.images.recipe import Recipe
from immutable.model import (
    Endpoint,
    HealthCheck,
    Image,
    Instance,
    InstanceLog,
    Outcome,
    Release,
    Routing,
    Target,
    Verdict,
    VerdictStatus,
)
from immutable.results import Deployment, HistoryLine, Plan, Status
from immutable.service import Service
from immutable.strategies import BlueGreen, Canary
from immutable.validators import http, tcp

__version__ = "0.1.0"
__all__ = [
    "BlueGreen",
    "Canary",
    "Deployment",
    "Endpoint",
    "HealthCheck",
    "HistoryLine",
    "Image",
    "ImmutableError",
    "Instance",
    "InstanceLog",
    "Outcome",
    "Plan",
    "Recipe",
    "Release",
    "Routing",
    "Service",
    "Status",
    "Target",
    "Verdict",
    "VerdictStatus",
    "build",
    "deploy",
    "errors",
    "events",
    "heal",
    "history",
    "http",
    "logs",
    "plan",
    "recover",
    "rollback",
    "scale",
    "status",
    "sweep",
    "tcp",
]

logging.getLogger("immutable").addHandler(logging.NullHandler())
