"""What a run of the bench was asked for."""

import attrs


@attrs.frozen(kw_only=True)
class Settings:
    """Options that every bench gets and reads what it needs from."""

    rounds: int | None = None
    """Turns of each comparison; each bench has a number of its own otherwise."""
    backend: str = "libvirt:///system"
    """Where virtual machines run."""

    def turns(self, usual: int) -> int:
        """Return how many turns to take, ``usual`` unless the caller said."""
        return usual if self.rounds is None else self.rounds
