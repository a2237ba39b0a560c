"""What was decided when the switch was set up, kept beside HAProxy's configuration."""

import json

import attrs

from immutable.errors import Unavailable
from immutable_haproxy.config import HAProxyConfig
from immutable_haproxy.options import Address, as_address
from immutable_haproxy.storage import Home, replace

SCHEMA = 1


@attrs.frozen(kw_only=True)
class Settings:
    """The options, and what was chosen for this machine.

    ``nonce`` is the secret of the preview header, empty without one; ``user`` and
    ``group`` are whom HAProxy becomes when root starts it.
    """

    service: str
    config: HAProxyConfig
    preview: Address
    program: str
    nonce: str = ""
    user: str = ""
    group: str = ""


def to_json(settings: Settings) -> str:
    """Return settings as text, which the restarter reads too, without this package."""
    record = attrs.asdict(settings, recurse=False) | {
        "schema": SCHEMA,
        "config": settings.config.to_options(),
        "preview": str(settings.preview),
    }
    return json.dumps(record, indent=1, sort_keys=True) + "\n"


def from_json(text: str) -> Settings:
    """Return the settings that `to_json` wrote.

    Raises:
        ValueError, KeyError, TypeError: it is something else.
    """
    record = json.loads(text)
    if record.pop("schema") != SCHEMA:
        raise ValueError("written by another version of this library")
    config = HAProxyConfig.from_options(record.pop("config"))
    preview = as_address(record.pop("preview"))
    return Settings(config=config, preview=preview, **record)


def load(home: Home) -> Settings | None:
    """Return the settings of a switch, or None when it was never set up.

    Raises:
        Unavailable: the file is damaged.
        OSError: it cannot be read.
    """
    try:
        return from_json(home.settings.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise Unavailable(
            f"{home.settings} is damaged, or from another version: {exc}",
            hint="restore the file, or choose another directory",
            operation="switch",
            resource=str(home.directory),
            backend="haproxy",
        ) from exc


def store(home: Home, settings: Settings) -> None:
    """Record that the switch is set up, and how."""
    replace(home.settings, to_json(settings))
