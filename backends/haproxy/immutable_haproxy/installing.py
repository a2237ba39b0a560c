"""Set a switch up in its directory, and clear the directory again."""

from immutable_haproxy.process import check_configuration, end, ensure_running
from immutable_haproxy.rendering import render
from immutable_haproxy.settings import Settings, store
from immutable_haproxy.storage import Home, replace


def install(home: Home, settings: Settings) -> None:
    """Write all files and start HAProxy with an empty routing, or leave nothing.

    The settings come last: only with them the switch counts as set up.

    Raises:
        Taken, PermissionDenied, Unavailable: it cannot run.
    """
    try:
        replace(home.routing, "")
        replace(home.configuration, render(settings, ()))
        check_configuration(home, settings)
        store(home, settings)
        ensure_running(home, settings)
    except BaseException:
        uninstall(home)
        raise


def uninstall(home: Home) -> None:
    """End HAProxy and its restarter and delete their files, the log and lock excepted.

    The settings go first: a crash in between leaves a switch that was never set up.
    """
    home.settings.unlink(missing_ok=True)
    end(home)
    for path in (home.configuration, home.routing, home.socket):
        path.unlink(missing_ok=True)
