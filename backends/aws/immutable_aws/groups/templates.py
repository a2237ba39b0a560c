"""Launch templates: one for each fleet, with one version, which is the only one used.

A version never changes, so what is read of one is kept, and what one was made with. A group
is bound to the number 1 of a template's id: never to ``$Latest``, and never to another template
of the same name.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from immutable.errors import BackendError, Taken, Unavailable
from immutable.model import FleetName, LedgerId, ServiceName, Token, digest_of
from immutable_aws.errors import NAME, said
from immutable_aws.groups.template import (
    Origin,
    Template,
    TemplateVersion,
    origin_of,
    template_of,
)
from immutable_aws.session import Aws
from immutable_aws.tagging import differing, to_tags

if TYPE_CHECKING:
    from mypy_boto3_ec2.type_defs import (
        FilterTypeDef,
        RequestLaunchTemplateDataTypeDef,
    )

_PAGE = 200
"""The most that DescribeLaunchTemplates returns at once."""
_ABSENT = frozenset(
    {
        "InvalidLaunchTemplateId.NotFound",
        "InvalidLaunchTemplateId.VersionNotFound",
        "InvalidLaunchTemplateName.NotFoundException",
    }
)


class Templates:
    """The launch templates of one account and region."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._origins: dict[TemplateVersion, Origin] = {}

    def create(
        self,
        name: FleetName,
        data: "RequestLaunchTemplateDataTypeDef",
        *,
        tags: Mapping[str, str],
        token: Token,
    ) -> str:
        """Create a fleet's template, or find the one that was made before; return its id.

        Raises:
            Taken: there is one of this name with other tags.
        """
        try:
            answer = self._aws.change(
                "ec2.CreateLaunchTemplate",
                name,
                lambda: self._aws.changes.ec2.create_launch_template(
                    ClientToken=digest_of("token", token, "template", name)[:32],
                    LaunchTemplateName=name,
                    LaunchTemplateData=data,
                    TagSpecifications=[
                        {"ResourceType": "launch-template", "Tags": to_tags(tags)}
                    ],
                ),
            )
        except Taken as exc:
            return self._adopt(name, tags, exc)
        template = answer["LaunchTemplate"]["LaunchTemplateId"]
        self._origins[TemplateVersion(template=template)] = origin_of(data)
        return template

    def named(self, name: FleetName) -> Template | None:
        """Return the template of a fleet, or None."""
        rows = self._listed([{"Name": "launch-template-name", "Values": [name]}], name)
        return next(iter(rows), None)

    def tagged(self, *, service: ServiceName, ledger: LedgerId) -> tuple[Template, ...]:
        """Return every template with these two tags."""
        filters: list[FilterTypeDef] = [
            {"Name": "tag:immutable-service", "Values": [service]},
            {"Name": "tag:immutable-ledger", "Values": [ledger]},
        ]
        return self._listed(filters, service)

    def origin(self, version: TemplateVersion) -> Origin:
        """Return what a version says; nothing where there is no such version any more."""
        if version not in self._origins:
            try:
                self._origins[version] = self._read(version)
            except BackendError as exc:
                if said(exc) not in _ABSENT:
                    raise
                return Origin()
        return self._origins[version]

    def delete(self, template: str, *, about: str) -> None:
        """Delete a template with all its versions; one that is gone is no error."""
        try:
            self._aws.change(
                "ec2.DeleteLaunchTemplate",
                about,
                lambda: self._aws.changes.ec2.delete_launch_template(
                    LaunchTemplateId=template
                ),
            )
        except BackendError as exc:
            if said(exc) not in _ABSENT:
                raise

    def _adopt(self, name: FleetName, tags: Mapping[str, str], exc: Taken) -> str:
        found = self.named(name)
        if found is None:
            raise unlisted(name, "launch template") from exc
        if other := differing(tags, found.tags):
            raise Taken(
                f"launch template {name} is there, with {other}",
                hint="it was launched with another configuration, or by somebody else",
                operation="fleets.launch",
                resource=name,
                backend=NAME,
            ) from exc
        return found.id

    def _listed(
        self, filters: "list[FilterTypeDef]", about: str
    ) -> tuple[Template, ...]:
        paginator = self._aws.reads.ec2.get_paginator("describe_launch_templates")
        pages = paginator.paginate(
            Filters=filters, PaginationConfig={"PageSize": _PAGE}
        )
        return self._aws.read(
            "ec2.DescribeLaunchTemplates",
            about,
            lambda: tuple(
                template_of(row) for page in pages for row in page["LaunchTemplates"]
            ),
        )

    def _read(self, version: TemplateVersion) -> Origin:
        answer = self._aws.read(
            "ec2.DescribeLaunchTemplateVersions",
            version.template,
            lambda: self._aws.reads.ec2.describe_launch_template_versions(
                LaunchTemplateId=version.template, Versions=[version.version]
            ),
        )
        rows = answer["LaunchTemplateVersions"]
        return origin_of(rows[0]["LaunchTemplateData"]) if rows else Origin()


def unlisted(name: FleetName, what: str) -> Unavailable:
    """Return the error that something is there, as a name is taken, but in no list yet."""
    return Unavailable(
        f"{name}: there is such a {what}, but it is not listed yet",
        hint="the same call goes on from there",
        operation="fleets.launch",
        resource=name,
        backend=NAME,
        retryable=True,
    )
