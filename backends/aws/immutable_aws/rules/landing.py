"""Seeing what became of a rule that was made: on top, or below newer ones."""

from collections.abc import Callable
from datetime import timedelta

from immutable.authoring import wait_until
from immutable.errors import Ambiguous, BackendError, Conflict
from immutable_aws.errors import NAME
from immutable_aws.rules import writing
from immutable_aws.rules.rule import Rule
from immutable_aws.rules.slots import Reading

_GLANCE = timedelta(milliseconds=200)


def see_served(
    look: Callable[[], Reading], mine: Rule, *, staleness: timedelta
) -> Reading:
    """Look until a reading shows the rule, and return that reading.

    One look, where AWS shows at once what was made.

    Raises:
        Conflict: it landed below newer rules, and was never asked.
        Ambiguous: no reading showed it in time, or none could be had.
    """
    service = mine.tag("immutable-service") or ""

    def shown() -> tuple[bool, Reading] | None:
        reading = look()
        served = writing.is_served(reading, mine)
        return None if served is None else (served, reading)

    what = f"a reading that shows priority {mine.priority}"
    try:
        served, reading = wait_until(shown, what, within=2 * staleness, every=_GLANCE)
    except (Ambiguous, Conflict):
        raise
    except BackendError as exc:
        raise Ambiguous(
            f"the rule was made, and not seen: {exc.message}",
            hint="read the switch to know",
            operation="switch.write",
            resource=service,
            backend=NAME,
        ) from exc
    if not served:
        what = "a newer routing serves; this one landed below it"
        raise writing.moved("switch.write", service, what)
    return reading
