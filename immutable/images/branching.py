"""Branches of a recipe: the same layers on another base, or of another version. Pure."""

from collections.abc import Mapping

import attrs

from immutable.errors import InvalidInput
from immutable.images import given
from immutable.images.checking import check_packages
from immutable.images.layers import Layer, Packages, Python
from immutable.images.origins import PYTHONS, Origin, check_python


def branched(
    layers: tuple[Layer, ...],
    origin: Origin,
    python: str | None,
    versions: Mapping[str, str],
) -> tuple[Layer, ...]:
    """Return layers for another origin, version of Python, and versions of packages.

    Raises:
        InvalidInput: none of them has what is to change, or the origin lacks it.
    """
    wanted = given.variables(versions, "packages")
    _check_meant(layers, python, wanted)
    return tuple(_branched(layer, origin, python, wanted) for layer in layers)


def _branched(
    layer: Layer, origin: Origin, python: str | None, versions: Mapping[str, str]
) -> Layer:
    match layer:
        case Python() if python is not None:
            return attrs.evolve(layer, version=check_python(python, origin))
        case Python():
            _check_kept(layer.version, origin)
            return layer
        case Packages(names=names):
            wanted = tuple(_versioned(name, versions) for name in names)
            return Packages(names=check_packages(wanted))
        case _:
            return layer


def _check_kept(version: str, origin: Origin) -> None:
    """Refuse another base alone where the recipe's Python is not to be had there."""
    shipped = PYTHONS.get(origin) if isinstance(origin, str) else None
    if shipped not in {None, version}:
        raise InvalidInput(
            f"{origin} has Python {shipped}, and the recipe has {version}",
            hint=f'branch to both: .with_(base="{origin}", python="{shipped}")',
        )


def _versioned(package: str, versions: Mapping[str, str]) -> str:
    name = package.partition("=")[0]
    return f"{name}={versions[name]}" if name in versions else package


def _check_meant(
    layers: tuple[Layer, ...], python: str | None, versions: Mapping[str, str]
) -> None:
    """Refuse a branch that would change nothing: it was meant to change something."""
    if python is not None and not any(isinstance(x, Python) for x in layers):
        raise InvalidInput(
            "the recipe has no layer with Python", hint='add .python("3.11") to it'
        )
    names = {
        name.partition("=")[0]
        for layer in layers
        if isinstance(layer, Packages)
        for name in layer.names
    }
    if unknown := sorted(set(versions) - names):
        raise InvalidInput(
            f"the recipe does not install {', '.join(unknown)}",
            hint="add them with .packages(…)",
        )
