"""The CloudWatch agent in an image: what it sends, and how it learns whose instance it is.

    recipe = with_agent(Recipe.base("debian:13").packages("curl"), package="agent.deb")

The instance needs no secret: its role (``?instance_profile=``) is allowed to write, by
`ROLE_ACTIONS` and nothing else. The log group is made, with its retention, by whoever
deploys. What an agent's configuration may hold is in its own schema:
https://github.com/aws/amazon-cloudwatch-agent/blob/main/translator/config/schema.json
"""

import json
import os
import shlex
from collections.abc import Iterable
from importlib import resources
from pathlib import Path, PurePosixPath

from immutable.errors import InvalidInput
from immutable.images.recipe import Recipe
from immutable_aws.watching.log_groups import JOURNAL, PREFIX

NAMESPACE = "Immutable"
"""Of the metrics: ``cpu_usage_active``, ``mem_used_percent``, ``disk_used_percent``."""
ROLE_ACTIONS = (
    "cloudwatch:PutMetricData",
    "logs:CreateLogStream",
    "logs:DescribeLogStreams",
    "logs:PutLogEvents",
)
"""What the instances' role must allow: the last three on ``/immutable/*``."""
_PLACE = PurePosixPath("/usr/lib/immutable")
_PACKAGE = "/var/tmp/amazon-cloudwatch-agent"  # noqa: S108 - in an image, by root
_INSTALL = {".deb": "dpkg -i", ".rpm": "rpm -U"}
_EVERY_S = 60
_WHOSE = {"Service": "@SERVICE@", "Release": "@RELEASE@", "Fleet": "@FLEET@"}
_MEASURED = {
    "cpu": ["cpu_usage_active"],
    "mem": ["mem_used_percent"],
    "disk": ["disk_used_percent"],
}


def with_agent(
    recipe: Recipe,
    *,
    package: str | os.PathLike[str] | None = None,
    files: Iterable[str] = (),
    metrics: bool = True,
) -> Recipe:
    """Return the recipe with the agent's configuration, and a unit that starts it.

    The image needs ``curl`` and systemd. At boot the instance's tags say which service,
    release and fleet it is of: fleets launch with tags in the metadata service.

    Args:
        recipe: what has everything else.
        package: the agent's ``.deb`` or ``.rpm``, downloaded; None: the image has the
            agent, for example by ``.packages("amazon-cloudwatch-agent")``.
        files: logs to send instead of systemd's journal, as ``/var/log/syslog``: the
            journal needs an agent from 1.300070.0.
        metrics: send CPU, memory and disk in use, each minute, for each instance.

    Raises:
        InvalidInput: the package or a file has no usable name.
    """
    text = json.dumps(configuration(files=files, metrics=metrics), sort_keys=True)
    target = _PLACE / "cloudwatch.json"
    write = f"mkdir -p {_PLACE} && printf '%s\\n' {shlex.quote(text)} > {target}"
    begun = recipe if package is None else _installed(recipe, Path(package))
    return (
        begun.run(write)
        .files(_shipped("immutable-cloudwatch"), str(_PLACE / "immutable-cloudwatch"))
        .unit(_shipped("immutable-cloudwatch.service"))
    )


def configuration(
    *, files: Iterable[str] = (), metrics: bool = True
) -> dict[str, object]:
    """Return the agent's configuration, in which ``@FLEET@`` and the like are to be set.

    Raises:
        InvalidInput: a file's path is not absolute, or two would share a stream.
    """
    found: dict[str, object] = {
        "agent": {"metrics_collection_interval": _EVERY_S},
        "logs": {"logs_collected": _collected(tuple(files))},
    }
    if metrics:
        found["metrics"] = {
            "namespace": NAMESPACE,
            "append_dimensions": {"InstanceId": "${aws:InstanceId}"},
            "metrics_collected": {
                name: {
                    "measurement": measured,
                    "append_dimensions": _WHOSE,
                    **_scope(name),
                }
                for name, measured in _MEASURED.items()
            },
        }
    return found


def _collected(files: tuple[str, ...]) -> dict[str, object]:
    """Return where logs come from; all go to the instance's one stream."""
    place = {
        "log_group_name": f"{PREFIX}@SERVICE@",
        "log_stream_name": f"@FLEET@/{{instance_id}}/{JOURNAL}",
    }
    if not files:
        return {"journald": {"collect_list": [place]}}
    for path in files:
        if not path.startswith("/") or not path.isprintable():
            raise InvalidInput(f"{path!r:.80} is no file's path", hint="begin with /")
    return {"files": {"collect_list": [{"file_path": p, **place} for p in files]}}


def _scope(name: str) -> dict[str, object]:
    if name == "disk":
        return {"resources": ["/"], "drop_device": True}
    return {"totalcpu": True} if name == "cpu" else {}


def _installed(recipe: Recipe, package: Path) -> Recipe:
    """Return the recipe with a package of the agent's, whose bytes are part of its digest."""
    install = _INSTALL.get(package.suffix)
    if install is None:
        known = " or ".join(_INSTALL)
        raise InvalidInput(f"{package} is no package", hint=f"give a {known} file")
    target = f"{_PACKAGE}{package.suffix}"
    return recipe.files(package, target).run(f"{install} {target} && rm {target}")


def _shipped(name: str) -> Path:
    return Path(str(resources.files("immutable_aws") / "agent_files" / name))
