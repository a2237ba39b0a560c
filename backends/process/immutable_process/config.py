"""The option of a ``process://`` URL: where everything is kept."""

import os
from pathlib import Path

from immutable.errors import InvalidInput
from immutable.urls import Url


def directory_of(url: Url) -> Path:
    """Read ``process://`` or ``process://?dir=/path``.

    Raises:
        InvalidInput: it has anything else.
    """
    url.require_known("dir")
    state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    directory = Path(url.option("dir", f"{state}/immutable/process"))
    if url.host or url.path or not directory.is_absolute() or ".." in directory.parts:
        hint = "write process:// or process://?dir=/absolute/path"
        raise InvalidInput(f"{url} is no directory of this machine", hint=hint)
    return directory
