"""A provider's errors in the library's own words, in one place for each provider."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import attrs

from immutable.errors import Ambiguous, ImmutableError, Unavailable


@attrs.frozen(kw_only=True)
class Meaning:
    """What a provider's error comes to.

    Args:
        kind: the library's error.
        hint: what the reader can do.
        retryable: the provider states that there was no effect, and that the same call
            may succeed when it is repeated.
    """

    kind: type[ImmutableError]
    hint: str = ""
    retryable: bool = False


@contextmanager
def translated(
    meaning: Callable[[Exception], Meaning | None],
    *,
    backend: str,
    operation: str,
    resource: str,
    changes: bool,
) -> Iterator[None]:
    """Raise what goes wrong inside as the library's own errors, keeping the cause.

        with translated(acme_meaning, backend="acme", operation="machines.create",
                        resource=spec.name, changes=True):
            client.create_server(…)

    Args:
        meaning: says what an error comes to. None: it does not know; then it is
            `Ambiguous` where the call changes something, else `Unavailable`.
        backend: the backend's name.
        operation: the call, for example ``"machines.create"``.
        resource: the name of the thing it is about.
        changes: whether a call that fails may have had an effect.

    Raises:
        ImmutableError: in place of every exception; those of the library pass.
    """
    try:
        yield
    except ImmutableError:
        raise
    # whatever a provider's library raises: that is what this is for
    except Exception as exc:
        found = meaning(exc) or Meaning(kind=Ambiguous if changes else Unavailable)
        raise found.kind(
            f"{resource}: {str(exc) or type(exc).__name__}",
            hint=found.hint,
            operation=operation,
            resource=resource,
            backend=backend,
            retryable=found.retryable,
        ) from exc
