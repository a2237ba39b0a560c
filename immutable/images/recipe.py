"""How to make an image: a base and ordered layers, as a value with a digest."""

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING, Self

import attrs

from immutable.images import checking, given
from immutable.images import layers as kinds
from immutable.images.branching import branched
from immutable.images.given import AnyPath, Variables
from immutable.images.layers import DEADLINE, Daemon, Files, Layer, Packages, Run
from immutable.images.lock import Lock
from immutable.images.origins import (
    Existing,
    Origin,
    Packer,
    base_with_python,
    check_distribution,
    check_python,
    digest_of_origin,
)
from immutable.images.tools import ByTools
from immutable.model import Digest, Image

if TYPE_CHECKING:
    from immutable.protocols import Backend


@attrs.frozen(kw_only=True)
class Recipe(ByTools):
    """A base and its layers. Each method returns a new recipe; nothing is built yet.

    >>> recipe = Recipe.base("debian:12").packages("python3").run("date > /etc/built")
    >>> [type(layer).__name__ for layer in recipe.layers]
    ['Packages', 'Run']
    """

    origin: Origin
    """The base: ``distribution:version``, an AMI, an image, or a Packer template."""
    layers: tuple[Layer, ...] = ()
    pins: Lock | None = None
    """What the layers are made of, exactly; without it a build finds that out."""

    @classmethod
    def base(cls, origin: str) -> "Recipe":
        """Begin a recipe from a distribution, as ``"debian:12"``, or an AMI, by its id.

        Raises:
            InvalidInput: it is not ``distribution:version``, and no AMI's id.
        """
        return cls(origin=check_distribution(origin))

    @classmethod
    def on(cls, image: Image) -> "Recipe":
        """Begin a recipe from an image that exists; what is built has it as its parent."""
        found = given.image(image)
        return cls(origin=Existing(image=found.id, content=found.digest))

    @classmethod
    def packer(
        cls, template: AnyPath, *, variables: Variables | None = None
    ) -> "Recipe":
        """Begin a recipe from what a Packer template builds.

        All that lies beside the template counts. Variables are recorded: no secrets.
        """
        path = given.path(template, "template")
        values = given.variables(variables, "variables")
        origin = Packer(source=path.parent, template=path.name, variables=values)
        return cls(origin=origin)

    def packages(self, *names: str) -> "Recipe":
        """Install packages of the distribution; ``name=version`` pins one.

        Raises:
            InvalidInput: no name, or one that no package can have.
        """
        return self._with(Packages(names=checking.check_packages(names)))

    def files(
        self,
        source: AnyPath,
        target: AnyPath,
        *,
        exclude: Iterable[str] = (),
        owner: str = "",
    ) -> "Recipe":
        """Copy a local file or directory to an absolute path in the image.

        Whether the source is there is checked when the recipe is built or digested.

        Args:
            source: a file, or a directory whose contents are copied.
            target: the path of the file, or of the directory that receives them.
            exclude: shell patterns of what to leave out, as ``"*.pyc"``.
            owner: a user of the image; by default root.

        Raises:
            InvalidInput: the target is not absolute, or the patterns are no list.
        """
        return self._with(
            Files(
                source=given.path(source, "source"),
                target=checking.check_target(target),
                exclude=given.texts(exclude, "exclude"),
                owner=checking.check_user(owner) if owner else "",
            )
        )

    def run(
        self,
        command: str,
        *,
        network: bool = False,
        booted: bool = False,
        deadline: timedelta | str = DEADLINE,
    ) -> "Recipe":
        """Run a shell command inside the image.

        Args:
            command: for ``/bin/sh -e``, as root.
            network: let it reach the network; what it fetches is then not pinned.
            booted: run it in a throw-away machine that has booted what lies below.
            deadline: after so long it has failed.

        Raises:
            InvalidInput: the command is empty.
        """
        line = checking.check_command(command)
        return self._with(
            Run(command=line, network=network, booted=booted, deadline=deadline)
        )

    def user(
        self,
        name: str,
        *,
        uid: int | None = None,
        home: str = str(kinds.NO_HOME),
        shell: str = str(kinds.NO_SHELL),
        groups: Iterable[str] = (),
    ) -> "Recipe":
        """Add a user with a group of the same name, without a password.

        Args:
            name: of the user; one that the image has already must be the same.
            uid: its number; by default the first free one from 1000.
            home: its directory, which is made unless it is ``/nonexistent``.
            shell: what it logs in with.
            groups: further groups, which the image has.

        Raises:
            InvalidInput: a name, number or path that cannot be used.
        """
        return self._with(
            kinds.User(
                name=checking.check_user(name),
                uid=checking.check_uid(uid),
                home=checking.check_target(home),
                shell=checking.check_target(shell),
                groups=checking.check_groups(groups),
            )
        )

    def service(
        self,
        name: str,
        *command: str,
        environment: Variables | None = None,
        user: str = "",
    ) -> "Recipe":
        """Start a command at boot and keep it running.

        Args:
            name: lower-case letters, digits and hyphens.
            command: the program and its arguments; one string is split as by a shell.
            environment: variables for it alone.
            user: whom it runs as; by default root.

        Raises:
            InvalidInput: the name or the command cannot be used.
        """
        return self._with(
            Daemon(
                name=name,
                command=checking.check_service(name, command),
                environment=checking.check_variables(name, environment),
                user=checking.check_user(user) if user else "",
            )
        )

    def unit(self, source: AnyPath) -> "Recipe":
        """Install a systemd unit file under its own name, and enable it.

        Raises:
            InvalidInput: the file's name is no unit's.
        """
        path = given.path(source, "unit")
        return self._with(kinds.Unit(name=checking.check_unit(path.name), source=path))

    def python(
        self,
        version: str,
        *,
        requirements: AnyPath | None = None,
        venv: str = str(kinds.VENV),
    ) -> "Recipe":
        """Install the distribution's Python, and packages in a virtual environment.

        Args:
            version: as ``"3.11"``; the base must be one that has it.
            requirements: a requirements file; wheels only, nothing is compiled.
            venv: where the environment is made, when there are requirements.

        Raises:
            InvalidInput: the base is known to have another Python.
        """
        place = checking.check_target(venv)
        wanted = given.optional_path(requirements, "requirements")
        check_python(version, self.origin)
        return self._with(
            kinds.Python(version=version, requirements=wanted, venv=place)
        )

    def with_(
        self,
        *,
        base: str | None = None,
        python: str | None = None,
        packages: Variables | None = None,
    ) -> "Recipe":
        """Return a branch: the same recipe with another base, Python or version.

        Args:
            base: another distribution, as ``"debian:13"``.
            python: another version. A distribution keeps one Python secure, so the base
                becomes the release that has it, unless ``base`` is given.
            packages: versions by name of packages that the recipe installs.

        Raises:
            InvalidInput: the recipe has nothing of the kind, or they do not fit.

        Example:
            >>> old = Recipe.base("debian:12").python("3.11").run("true")
            >>> old.with_(python="3.13").origin
            'debian:13'
        """
        origin = self.origin if base is None else check_distribution(base)
        if python is not None and base is None:
            origin = base_with_python(python, origin)
        layers = branched(self.layers, origin, python, packages or {})
        return attrs.evolve(self, origin=origin, layers=layers)

    def lock(self, *, backend: "str | Backend") -> Lock:
        """Return the versions and hashes that a build would use now.

        What this recipe is locked to already stays: only the rest is looked up.

        Args:
            backend: where it is to be built.

        Raises:
            Unsupported, Unavailable: the backend, or a mirror, has no packages to give.
        """
        # Late: recipes are values, which everything else stands upon.
        from immutable.images.finding import lock_recipe

        return lock_recipe(self, backend)

    def locked(self, lock: Lock) -> "Recipe":
        """Return the recipe bound to a lock: builds look up nothing, or are refused."""
        return attrs.evolve(self, pins=given.lock(lock))

    def keys(self) -> tuple[Digest, ...]:
        """Return what `digests` does, without any lock."""
        chain = [digest_of_origin(self.origin)]
        for layer in self.layers:
            chain.append(layer.digest(chain[-1]))
        return tuple(chain)

    def digests(self) -> tuple[Digest, ...]:
        """Return the digest of the base and then of each layer, in order.

        A layer's digest covers all that it depends on, its parent and what it is locked
        to included, so equal digests mean equal layers.

        Raises:
            MissingFiles: a source is not there.
        """
        return self.keys() if self.pins is None else self.pins.bind(self.keys())

    @property
    def digest(self) -> Digest:
        """Return the digest of the whole recipe."""
        last = self.digests()[-1]
        return last if self.pins is None else self.pins.seal(last)

    def _with(self, layer: Layer) -> Self:
        return attrs.evolve(self, layers=(*self.layers, layer))
