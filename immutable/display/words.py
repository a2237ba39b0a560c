"""Events in words."""

from immutable import events
from immutable.model import Routing


def spell(event: events.Event) -> str:
    """Return an event as one line; empty for one that nobody needs to read."""
    match event:
        case events.Started(verb=verb, service=service, release=release, fleet=fleet):
            number = f" v{release.number}" if release else ""
            return f"{verb} {service}{number} {fleet or ''}".rstrip()
        case events.StepFinished(step=step, result=result, took=took, detail=detail):
            return (
                f"  {step}: {result} in {took.total_seconds():.2f} s  {detail}".rstrip()
            )
        case events.Waiting(on=on):
            return f"  waiting: {on}"
        case events.Judged(live=live, verdict=verdict):
            where = "live" if live else "preview"
            said = f"{verdict.validator}: {verdict.status}"
            return f"  {said} ({where}) {verdict.evidence}".rstrip()
        case events.Shifted(routing=routing):
            return f"  traffic: {_weights(routing)}"
        case events.TurnedBack(message=message):
            return f"  turning back: {message}"
        case events.Ended(outcome=outcome, message=message):
            return f"  {outcome} {message}".rstrip()
        case events.Output(line=line):
            return f"  | {line}"
        case events.StepStarted():
            return ""


def _weights(routing: Routing) -> str:
    return (
        ", ".join(f"{weight}% {fleet}" for fleet, weight in routing.weights) or "nobody"
    )
