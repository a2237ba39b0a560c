"""A planted bug, as an edit of the source."""

import attrs

from proofs.mutants.catchers import Catcher


@attrs.frozen
class Edit:
    """One piece of a source file, before and after; it occurs exactly once."""

    path: str
    before: str
    after: str


@attrs.frozen(kw_only=True)
class Mutant:
    """A planted bug, and who is expected to notice it."""

    name: str
    edits: tuple[Edit, ...]
    catchers: tuple[Catcher, ...]
    """Tried in this order, until one of them notices."""
    redundant: str = ""
    """Why nothing breaks without it: what else defends the same promise."""


def planted(
    name: str,
    path: str,
    before: str,
    after: str,
    *catchers: Catcher,
    redundant: str = "",
) -> Mutant:
    """Return a planted bug of one edit."""
    edits = (Edit(path, before, after),)
    return Mutant(name=name, edits=edits, catchers=catchers, redundant=redundant)
