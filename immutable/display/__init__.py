"""Progress for people. Off unless asked for: a library never prints."""

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator

from immutable.errors import InvalidInput
from immutable.events import Event

_log = logging.getLogger("immutable.display")
_KINDS = ("rich", "plain")


@contextlib.contextmanager
def listener(
    on_event: Callable[[Event], None] | None,
    progress: bool | str,  # noqa: FBT001 - True is the short form of "auto"
) -> Iterator[Callable[[Event], None]]:
    """Yield a listener that tells the caller and, when asked to, shows progress.

    Raises:
        InvalidInput: the kind of progress is unknown, or the listener is no function.
    """
    _check_callable(on_event)
    with _display(progress) as show:
        tells = [_guarded(tell) for tell in (on_event, show) if tell is not None]

        def told(event: Event) -> None:
            for tell in tells:
                tell(event)

        yield told


def _check_callable(value: object) -> None:
    if value is not None and not callable(value):
        hint = "give a function of an event, as print without quotes"
        raise InvalidInput(f"on_event {value!r:.80} cannot be called", hint=hint)


def _guarded(tell: Callable[[Event], None]) -> Callable[[Event], None]:
    """Return a listener whose errors are logged and never disturb a deployment."""

    def told(event: Event) -> None:
        try:
            tell(event)
        # whatever a caller's listener raises is the caller's affair
        except Exception:  # noqa: BLE001 - see above
            _log.exception("on_event raised for %s", type(event).__name__)

    return told


def _display(
    progress: bool | str,  # noqa: FBT001 - as above
) -> contextlib.AbstractContextManager[Callable[[Event], None] | None]:
    if progress is False:
        return contextlib.nullcontext(None)
    kind = _best() if progress is True or progress == "auto" else progress
    if kind not in _KINDS:
        raise InvalidInput(
            f"progress {progress!r} is unknown", hint='use True, "plain" or "rich"'
        )
    # imported on first use: most programs that import us never show anything
    if kind == "rich":
        from immutable.display.live import live_progress

        return live_progress()
    from immutable.display.plain import plain_progress

    return plain_progress()


def _best() -> str:
    if not sys.stderr.isatty():
        return "plain"
    try:
        import rich  # noqa: F401 - only whether it is there
    except ImportError:
        return "plain"
    return "rich"
