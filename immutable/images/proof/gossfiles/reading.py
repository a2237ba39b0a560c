"""A goss file as checks: the part of its language that is about an image.

The language is described in https://goss.rocks/gossfile/. What is not known here is
refused by name: a check that is left out would look like one that passed.
"""

import json
import os
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path

from immutable.durations import duration
from immutable.errors import InvalidInput, MissingFiles, Unsupported
from immutable.images.proof.checking import Check
from immutable.images.proof.gossfiles.attributes import Attributes, refused
from immutable.images.proof.gossfiles.resources import Settings, resources

LIMIT_BYTES = 1 << 20


def goss(
    path: str | os.PathLike[str],
    *,
    booted: bool = False,
    within: timedelta | str = "30s",
) -> tuple[Check, ...]:
    """Return the checks that a goss file asks for, in its order.

    Understood are ``package``, ``file``, ``service``, ``port``, ``command`` and ``http``.
    The file is YAML, which needs the extra ``goss``, or JSON if it is called so.

    Args:
        path: of the file, without templates.
        booted: run its commands in the booted instance rather than in the unbooted root.
        within: how long an instance that is still starting is asked again.

    Raises:
        MissingFiles: the file is not there.
        InvalidInput: it is no goss file, or asks for something that is not known here.
        Unsupported: it is YAML, and PyYAML is not installed.
    """
    place = Path(path)
    found = _parsed(place, read_goss(place))
    settings = Settings(booted=booted, within=duration(within))
    known = resources(settings)
    checks: list[Check] = []
    for kind, entries in _mapping(found, place.name).items():
        if kind not in known:
            raise refused(f"{place.name}: {kind}", known)
        checks += _checks(known[kind], kind, entries)
    return tuple(checks)


def read_goss(path: Path, *, templates: bool = False) -> str:
    """Return the text of a goss file.

    Args:
        path: of the file.
        templates: whether whoever is to understand it knows those.

    Raises:
        MissingFiles: it is not there.
        InvalidInput: it is too large, is no text, or has templates that it must not have.
    """
    if not path.is_file():
        raise MissingFiles(f"{path} is not there", hint="give the path of a goss file")
    data = path.read_bytes()
    if len(data) > LIMIT_BYTES:
        raise InvalidInput(f"{path.name} has {len(data)} bytes", hint="divide it")
    try:
        text = data.decode()
    except UnicodeDecodeError as exc:
        raise InvalidInput(f"{path.name} is not UTF-8", hint="convert it") from exc
    if "{{" in text and not templates:
        raise InvalidInput(
            f"{path.name} has templates, which are not understood here",
            hint="give what `goss render` makes of it",
        )
    return text


def _checks(
    make: Callable[[str, Attributes], list[Check]], kind: str, entries: object
) -> list[Check]:
    made: list[Check] = []
    for name, fields in _mapping(entries, kind).items():
        attributes = Attributes(f"{kind}: {name}", _mapping(fields, f"{kind}: {name}"))
        checks = make(name, attributes)
        attributes.finish()
        if not checks:
            raise InvalidInput(f"{kind}: {name} asks for nothing", hint="remove it")
        made += checks
    return made


def _mapping(value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise InvalidInput(f"{where} is no mapping", hint="see the goss manual")
    # YAML reads a port or a version that stands alone as a number.
    return {str(key): item for key, item in value.items()}


def _parsed(path: Path, text: str) -> object:
    if path.suffix == ".json":
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as exc:
            raise _no_goss(path, exc) from exc
    try:
        import yaml
    except ImportError as exc:
        raise Unsupported(
            f"{path.name} is YAML, and PyYAML is not installed",
            hint='install "immutable-deploy[goss]", or give JSON',
        ) from exc
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as exc:
        raise _no_goss(path, exc) from exc


def _no_goss(path: Path, exc: Exception) -> InvalidInput:
    said = " ".join(str(exc).split())
    return InvalidInput(f"{path.name} cannot be read: {said:.200}", hint="repair it")
