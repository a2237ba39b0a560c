"""The steps to an image: what of a recipe becomes one disk, and what it is known by."""

import attrs

from immutable.images.layers import Daemon, Files, Layer, Packages, Python, Unit
from immutable.images.lock import Entry, Lock
from immutable.images.origins import Origin
from immutable.images.recipe import Recipe
from immutable.model import Digest, digest_of
from immutable_libvirt.building.staging import Placed

FORMAT = 3
"""Raised when equal recipes would now give other layers than before."""

_NONE = Digest("")


@attrs.frozen(kw_only=True)
class Step:
    """What becomes one disk: a base, or layers that are built together.

    ``parent`` and ``key`` are the recipe's digests before and after it, without any
    lock; ``below`` and ``digest`` the same with what is pinned. ``origin`` is there for
    a base alone.
    """

    key: Digest
    digest: Digest
    parent: Digest = _NONE
    below: Digest = _NONE
    origin: Origin | None = None
    layers: tuple[Layer, ...] = ()
    pins: Entry | None = None

    @property
    def name(self) -> Digest:
        """Return the name under which the result is kept."""
        return digest_of("libvirt layer", FORMAT, self.digest)

    @property
    def pins_name(self) -> Digest:
        """Return the name under which is noted what it was resolved to."""
        return digest_of("libvirt pins", FORMAT, self.below, self.key)

    @property
    def is_base(self) -> bool:
        """Return whether nothing is below it."""
        return self.origin is not None

    @property
    def is_placed(self) -> bool:
        """Return whether it only places files, and runs nothing."""
        return all(isinstance(layer, Placed) for layer in self.layers)

    @property
    def is_resolved(self) -> bool:
        """Return whether it is known what packages it is made of, if any."""
        with_packages = any(isinstance(x, Packages | Python) for x in self.layers)
        return self.pins is not None or not (self.is_base or with_packages)

    @property
    def what(self) -> str:
        """Return what it is, for people."""
        if self.is_base:
            return f"base {self.origin}"
        return ", ".join(map(described, self.layers))


def described(layer: Layer) -> str:
    """Return what a layer is, for people."""
    match layer:
        case Packages(names=names):
            return f"packages {' '.join(names)}"
        case Files(target=target):
            return f"files {target}"
        case Python(version=version):
            return f"python {version}"
        case Unit(name=name) | Daemon(name=name):
            return f"{type(layer).__name__.lower()} {name}"
        case _:
            return type(layer).__name__.lower()


def steps_of(recipe: Recipe, keys: tuple[Digest, ...], lock: Lock) -> tuple[Step, ...]:
    """Return the steps from a recipe's origin to its image, the lowest first.

    Neighbouring files, services and users become one step: every disk costs boot time,
    and they are made in milliseconds. An image that is built upon is no step.
    """
    bound = lock.bind(keys)
    steps = list[Step]()
    if isinstance(recipe.origin, str):
        pins = lock.find(keys[0])
        steps.append(
            Step(key=keys[0], digest=bound[0], origin=recipe.origin, pins=pins)
        )
    for position, layer in enumerate(recipe.layers):
        new = Step(
            parent=keys[position],
            key=keys[position + 1],
            below=bound[position],
            digest=bound[position + 1],
            layers=(layer,),
            pins=lock.find(keys[position + 1]),
        )
        steps[-1:] = _joined(steps[-1:], new)
    return tuple(steps)


def _joined(last: list[Step], new: Step) -> list[Step]:
    if not last or last[0].is_base or not (last[0].is_placed and new.is_placed):
        return [*last, new]
    layers = (*last[0].layers, *new.layers)
    return [attrs.evolve(last[0], key=new.key, digest=new.digest, layers=layers)]


def digest_now(step: Step) -> Digest:
    """Return a step's key by what its files contain now."""
    digest = step.parent
    for layer in step.layers:
        digest = layer.digest(digest)
    return digest
