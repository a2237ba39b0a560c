"""Progress on a terminal: what has been done above, what is going on below."""

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.status import Status
from rich.text import Text

from immutable import events
from immutable.display.words import spell

_COLOURS = {"live": "green", "rolled back": "yellow", "refused": "yellow"}


@contextlib.contextmanager
def live_progress(
    console: Console | None = None,
) -> Iterator[Callable[[events.Event], None]]:
    """Yield a listener that draws on standard error."""
    console = console or Console(stderr=True)
    with console.status("") as spinner:

        def show(event: events.Event) -> None:
            _show(console, spinner, event)

        yield show


def _show(console: Console, spinner: Status, event: events.Event) -> None:
    match event:
        case events.StepStarted(step=step, detail=detail):
            spinner.update(Text(f"{step} {detail}"))
        case events.Waiting(on=on):
            spinner.update(Text(f"waiting: {on}"))
        case events.Ended(outcome=outcome):
            console.print(Text(spell(event), style=_COLOURS.get(outcome, "red")))
        case _:
            console.print(Text(spell(event), style=_style(event)))


def _style(event: events.Event) -> str:
    match event:
        case events.Started():
            return "bold"
        case events.TurnedBack():
            return "red"
        case events.Shifted():
            return "cyan"
        case events.Output():
            return "dim"
        case _:
            return ""
