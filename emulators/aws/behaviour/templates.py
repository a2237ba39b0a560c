"""Launch templates: what moto leaves out of versions."""

from moto.ec2.models import ec2_backends
from moto.ec2.utils import parse_user_data

from emulators.aws.hooks import Call, handles, result_of


@handles("ec2", "CreateLaunchTemplateVersion")
def versions_inherit(call: Call) -> object:
    """Take from the source version what the new one does not say.

    Source: botocore, CreateLaunchTemplateVersion, ``SourceVersion``: *"the new version
    inherits the launch parameters from the source version. If you specify additional
    launch parameters for the new version, they overwrite any corresponding launch
    parameters inherited from the source version."* moto does not; and it keeps user
    data in a form with which it cannot launch.
    """
    data = dict(call.params.bag("LaunchTemplateData").values)
    if "UserData" in data:
        data["UserData"] = parse_user_data(data["UserData"])
    source = call.params.text("SourceVersion")
    if source:
        data = {**_data_of(call, source), **data}
    call.put("LaunchTemplateData", data)
    return call.proceed()


@handles("ec2", "CreateLaunchTemplate")
def tags_are_the_template_s(call: Call) -> object:
    """Keep the template's own tags out of what it launches with.

    Source: botocore, CreateLaunchTemplate, ``TagSpecifications``: *"To specify the tags
    for the resources that are created when an instance is launched, you must use the
    TagSpecifications parameter in the launch template data structure."* moto adds the
    first to the second.
    """
    own = list(call.params.bag("LaunchTemplateData").bags("TagSpecifications"))
    answer = call.proceed()
    made = result_of(answer)["LaunchTemplate"]
    name = str(made["LaunchTemplateId"]) if isinstance(made, dict) else ""
    template = ec2_backends[call.account][call.region].launch_templates[name]
    data = template.versions[0].data
    data["TagSpecifications"] = [dict(each.values) for each in own]
    return answer


def _data_of(call: Call, version: str) -> dict[str, object]:
    backend = ec2_backends[call.account][call.region]
    named = {
        name: call.params.text(name)
        for name in ("LaunchTemplateId", "LaunchTemplateName")
        if name in call.params
    }
    # nothing public finds a version by name or id
    found = backend._get_template_from_args({**named, "Version": version})  # noqa: SLF001
    return dict(found.data)
