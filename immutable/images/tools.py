"""The layers of a recipe that other tools make, each with the tool's own files."""

import abc
from collections.abc import Iterable
from datetime import timedelta
from typing import Self

from immutable.images import checking, given
from immutable.images import layers as kinds
from immutable.images.given import AnyPath, Variables
from immutable.images.layers import DEADLINE, Layer


class ByTools(abc.ABC):
    """What a recipe has by other tools: each method returns a new recipe."""

    __slots__ = ()

    @abc.abstractmethod
    def _with(self, layer: Layer) -> Self: ...

    def ansible(
        self,
        playbook: AnyPath,
        *,
        variables: Variables | None = None,
        network: bool = False,
        deadline: timedelta | str = DEADLINE,
    ) -> Self:
        """Run a playbook against the image; what lies beside it goes with it.

        The image needs a Python: ``.packages("python3")``.
        """
        path = given.path(playbook, "playbook")
        return self._with(
            kinds.Ansible(
                source=path.parent,
                playbook=path.name,
                variables=given.variables(variables, "variables"),
                network=network,
                deadline=deadline,
            )
        )

    def puppet(
        self,
        manifest: AnyPath,
        *,
        facts: Variables | None = None,
        network: bool = False,
        deadline: timedelta | str = DEADLINE,
    ) -> Self:
        """Apply a manifest inside the image; ``modules`` beside it are found.

        The image needs the tool: ``.packages("puppet-agent")``.
        """
        path = given.path(manifest, "manifest")
        return self._with(
            kinds.Puppet(
                source=path.parent,
                manifest=path.name,
                facts=given.variables(facts, "facts"),
                network=network,
                deadline=deadline,
            )
        )

    def cfengine(
        self,
        policy: AnyPath,
        *,
        classes: Iterable[str] = (),
        network: bool = False,
        deadline: timedelta | str = DEADLINE,
    ) -> Self:
        """Run a policy inside the image; what lies beside it goes with it.

        The image needs the tool: ``.packages("cfengine3")``.
        """
        path = given.path(policy, "policy")
        return self._with(
            kinds.Cfengine(
                source=path.parent,
                policy=path.name,
                classes=given.texts(classes, "classes"),
                network=network,
                deadline=deadline,
            )
        )

    def chef(
        self,
        repository: AnyPath,
        *run_list: str,
        attributes: Variables | None = None,
        network: bool = False,
        deadline: timedelta | str = DEADLINE,
    ) -> Self:
        """Converge a run list inside the image, from a repository's ``cookbooks``.

        The image needs the tool, which no distribution has: install it by ``.run``.

        Raises:
            InvalidInput: the run list is empty.
        """
        items = checking.check_run_list(run_list)
        return self._with(
            kinds.Chef(
                source=given.path(repository, "repository"),
                run_list=",".join(items),
                attributes=given.variables(attributes, "attributes"),
                network=network,
                deadline=deadline,
            )
        )
