"""The same calls for asyncio: each runs beside the event loop, in a thread of its own.

Cancelling the task asks the deployment to stop and waits until production is safe: before
the commit everything goes back, after it the release stays live.
"""

import asyncio
import functools
import threading
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from immutable import api, bisecting, imaging, keeping, proving, replacing, retaining
from immutable.host import Stop
from immutable.images.catalogue import channelling, revoking
from immutable.images.finding import lock_recipe

_P = ParamSpec("_P")
_T = TypeVar("_T")


class _Either:
    """A stop that comes from the caller's own, or from the task's cancellation."""

    def __init__(self, given: Stop | None) -> None:
        self.cancelled = threading.Event()
        self._given = given

    def is_set(self) -> bool:
        return self.cancelled.is_set() or (
            self._given is not None and self._given.is_set()
        )


def _reading(call: Callable[_P, _T]) -> Callable[_P, Awaitable[_T]]:
    @functools.wraps(call)
    async def awaited(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await asyncio.to_thread(call, *args, **kwargs)

    return awaited


def _stoppable(call: Callable[_P, _T]) -> Callable[_P, Awaitable[_T]]:
    @functools.wraps(call)
    async def awaited(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        stop = _Either(kwargs.get("cancel"))  # type: ignore[arg-type]  # it is a Stop
        kwargs["cancel"] = stop
        work = asyncio.ensure_future(asyncio.to_thread(call, *args, **kwargs))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            stop.cancelled.set()
            await asyncio.wait([work])
            raise

    return awaited


build = _reading(api.build)
plan = _reading(api.plan)
status = _reading(api.status)
history = _reading(api.history)
logs = _reading(api.logs)
recover = _reading(keeping.recover)
sweep = _reading(keeping.sweep)
adopt = _reading(keeping.adopt)
restore_ledger = _reading(keeping.restore_ledger)
destroy = _reading(keeping.destroy)
deploy = _stoppable(api.deploy)
rollback = _stoppable(api.rollback)
scale = _stoppable(api.scale)
heal = _stoppable(api.heal)
watch = _stoppable(keeping.watch)
lock = _reading(lock_recipe)
record = _reading(imaging.record)
recipe_of = _reading(imaging.recipe_of)
rebuild = _reading(imaging.rebuild)
diff = _reading(imaging.diff)
sbom = _reading(imaging.sbom)
attest = _reading(imaging.attest)
verify = _reading(imaging.verify)
prove = _stoppable(proving.prove)
promote = _reading(channelling.promote)
channel = _reading(channelling.channel)
channels = _reading(channelling.channels)
withdraw = _reading(channelling.withdraw)
lease = _reading(channelling.lease)
end_lease = _reading(channelling.end_lease)
revoke = _reading(revoking.revoke)
unrevoke = _reading(revoking.unrevoke)
revocations = _reading(revoking.revocations)
overrides = _reading(revoking.overrides)
affected = _reading(replacing.affected)
retain = _reading(retaining.retain)
bisect = _stoppable(bisecting.bisect)
