"""Immutable infrastructure as a library: build once, prove, switch in one step.

A service is deployed by launching a whole new fleet from one image, proving it, and
moving traffic in one atomic step. A rollback is the same algorithm aimed at an earlier
release. See `deploy`.

Every name is loaded when it is first used, so that importing this package costs a program
next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from immutable import errors, events
    from immutable.api import (
        build,
        deploy,
        heal,
        history,
        logs,
        plan,
        rollback,
        scale,
        status,
    )
    from immutable.bisecting import bisect
    from immutable.errors import ImmutableError
    from immutable.images.catalogue.channelling import (
        channel,
        channels,
        end_lease,
        lease,
        promote,
        withdraw,
    )
    from immutable.images.catalogue.retention import RetentionPolicy
    from immutable.images.catalogue.revoking import (
        overrides,
        revocations,
        revoke,
        unrevoke,
    )
    from immutable.images.lock import Lock
    from immutable.images.recipe import Recipe
    from immutable.imaging import attest, diff, rebuild, recipe_of, record, sbom, verify
    from immutable.judging import Target, Verdict, VerdictStatus
    from immutable.keeping import (
        adopt,
        destroy,
        recover,
        restore_ledger,
        sweep,
        watch,
    )
    from immutable.model import (
        Endpoint,
        HealthCheck,
        Image,
        Instance,
        InstanceLog,
        Outcome,
        Release,
        Routing,
    )
    from immutable.proving import prove
    from immutable.replacing import affected
    from immutable.results import Deployment, HistoryLine, Plan, Status
    from immutable.retaining import retain
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
    "Lock",
    "Outcome",
    "Plan",
    "Recipe",
    "Release",
    "RetentionPolicy",
    "Routing",
    "Service",
    "Status",
    "Target",
    "Verdict",
    "VerdictStatus",
    "adopt",
    "affected",
    "attest",
    "bisect",
    "build",
    "channel",
    "channels",
    "deploy",
    "destroy",
    "diff",
    "end_lease",
    "errors",
    "events",
    "heal",
    "history",
    "http",
    "lease",
    "logs",
    "overrides",
    "plan",
    "promote",
    "prove",
    "rebuild",
    "recipe_of",
    "record",
    "recover",
    "restore_ledger",
    "retain",
    "revocations",
    "revoke",
    "rollback",
    "sbom",
    "scale",
    "status",
    "sweep",
    "tcp",
    "unrevoke",
    "verify",
    "watch",
    "withdraw",
]

_MODULES = frozenset({"aio", "errors", "events"})
_HOMES = {
    "recipe_of": "immutable.imaging",
    "promote": "immutable.images.catalogue.channelling",
    "channel": "immutable.images.catalogue.channelling",
    "channels": "immutable.images.catalogue.channelling",
    "withdraw": "immutable.images.catalogue.channelling",
    "lease": "immutable.images.catalogue.channelling",
    "end_lease": "immutable.images.catalogue.channelling",
    "revoke": "immutable.images.catalogue.revoking",
    "unrevoke": "immutable.images.catalogue.revoking",
    "revocations": "immutable.images.catalogue.revoking",
    "overrides": "immutable.images.catalogue.revoking",
    "RetentionPolicy": "immutable.images.catalogue.retention",
    "affected": "immutable.replacing",
    "retain": "immutable.retaining",
    "bisect": "immutable.bisecting",
    "Lock": "immutable.images.lock",
    "record": "immutable.imaging",
    "rebuild": "immutable.imaging",
    "diff": "immutable.imaging",
    "sbom": "immutable.imaging",
    "attest": "immutable.imaging",
    "verify": "immutable.imaging",
    "prove": "immutable.proving",
    "adopt": "immutable.keeping",
    "build": "immutable.api",
    "deploy": "immutable.api",
    "destroy": "immutable.keeping",
    "heal": "immutable.api",
    "history": "immutable.api",
    "logs": "immutable.api",
    "plan": "immutable.api",
    "recover": "immutable.keeping",
    "restore_ledger": "immutable.keeping",
    "rollback": "immutable.api",
    "scale": "immutable.api",
    "status": "immutable.api",
    "sweep": "immutable.keeping",
    "watch": "immutable.keeping",
    "ImmutableError": "immutable.errors",
    "Recipe": "immutable.images.recipe",
    "Endpoint": "immutable.model",
    "HealthCheck": "immutable.model",
    "Image": "immutable.model",
    "Instance": "immutable.model",
    "InstanceLog": "immutable.model",
    "Outcome": "immutable.model",
    "Release": "immutable.model",
    "Routing": "immutable.model",
    "Target": "immutable.judging",
    "Verdict": "immutable.judging",
    "VerdictStatus": "immutable.judging",
    "Deployment": "immutable.results",
    "HistoryLine": "immutable.results",
    "Plan": "immutable.results",
    "Status": "immutable.results",
    "Service": "immutable.service",
    "BlueGreen": "immutable.strategies",
    "Canary": "immutable.strategies",
    "http": "immutable.validators",
    "tcp": "immutable.validators",
}


def __getattr__(name: str) -> object:
    """Load a public name when it is first used (PEP 562)."""
    if name in _MODULES:
        return import_module(f"immutable.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'immutable' has no attribute {name!r}")
    value: object = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, loaded or not."""
    return sorted({*__all__, *_MODULES, "__version__"})
