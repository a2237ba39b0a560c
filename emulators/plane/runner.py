"""One thread in which everything of the data plane happens."""

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from typing import Self, TypeVar

T = TypeVar("T")


class Runner:
    """An event loop in a thread of its own, called from any other."""

    def __init__(self) -> None:
        """Start the thread."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self.close()

    def run(self, work: Coroutine[object, object, T], timeout_s: float = 30.0) -> T:
        """Do it there, and return what comes of it."""
        return self.start(work).result(timeout_s)

    def start(
        self, work: Coroutine[object, object, T]
    ) -> "concurrent.futures.Future[T]":
        """Begin it there."""
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    def close(self) -> None:
        """Cancel what goes on, and end the thread."""
        if not self._thread.is_alive():
            return
        self.run(_cancel_others())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_others() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
