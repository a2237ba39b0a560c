"""CFEngine: ``cf-agent`` inside the image, once, without a hub.

All that CFEngine itself writes (databases, locks, outputs) is in a work directory under
/run, which is no part of the image: see ``--workdir`` in cf-agent(8). The copies that it
makes of files before it changes them are removed: the layer below has them.

``cf-agent`` ends with status 0 although promises were not kept, so that what it says is
judged: https://docs.cfengine.com/docs/3.21/ has no other sign of it than its messages.
"""

from pathlib import PurePosixPath

import attrs

from immutable.errors import BuildFailed
from immutable.images.layers import Cfengine
from immutable.images.record import Tool
from immutable_libvirt.building.process import Output
from immutable_libvirt.building.provisioning.asking import program_of, version_of
from immutable_libvirt.building.provisioning.handing import POLICY, handed_over
from immutable_libvirt.building.provisioning.site import Site

_PROGRAMS = ("/usr/bin/cf-agent", "/var/cfengine/bin/cf-agent")
_PACKAGE = "cfengine3"
_INSTALL = f'.packages("{_PACKAGE}")'
_WORK = "/run/cfengine"
_OPTIONS = ("--no-lock", "--inform", "--color=never")
# The agent trusts no checker but one in its work directory, and no directory of others'.
_CHECK_AND_RUN = f"""
umask 077
mkdir -p {_WORK}/bin {_WORK}/inputs
ln -s "$1" {_WORK}/bin/cf-promises
export CFENGINE_TEST_OVERRIDE_WORKDIR={_WORK}
"$1" --file "$2"
policy=$2
shift 2
umask 022
exec "$@" --file "$policy"
"""
_BACKUPS = ("**/*.cf-before-edit", "**/*.cfsaved")
_ERROR = "error: "
_MOST_ERRORS = 15


def make(layer: Cfengine, site: Site) -> None:
    """Run a policy in the image.

    Raises:
        MissingFiles: the policy is not there.
        Unavailable: the image has no CFEngine.
        BuildFailed: the policy is not valid, or a promise was not kept.
    """
    agent = _program(site)
    checker = str(PurePosixPath(agent).with_name("cf-promises"))
    run = [agent, *_OPTIONS, *_defined(layer)]
    judged = _Judged(on_output=site.on_output)
    policy = handed_over(site, layer.source, layer.policy)
    script = ["/bin/sh", "-ec", _CHECK_AND_RUN, "sh", checker]
    site.inside.run(
        [*script, f"/run/{POLICY}/{layer.policy}", *run],
        what=f"cf-agent {layer.policy}",
        handed={POLICY: policy},
        network=layer.network,
        deadline=layer.deadline,
        on_output=judged,
        leftovers=_BACKUPS,
    )
    judged.require_kept(layer.policy)


def version(site: Site) -> Tool:
    """Return the CFEngine of the image.

    Raises:
        Unavailable: it has none.
    """
    return version_of(site, "cfengine", _program(site), package=_PACKAGE)


def _program(site: Site) -> str:
    return program_of(site, *_PROGRAMS, install=_INSTALL)


def _defined(layer: Cfengine) -> list[str]:
    return ["--define", ",".join(layer.classes)] if layer.classes else []


@attrs.frozen(kw_only=True)
class _Judged:
    """Passes on what the agent says, and remembers its errors."""

    on_output: Output
    errors: list[str] = attrs.field(factory=list, init=False)

    def __call__(self, line: str) -> None:
        # Lines of commands and reports are marked as such, so that these are its own.
        if line.lstrip().startswith(_ERROR):
            self.errors.append(line.strip())
        self.on_output(line)

    def require_kept(self, policy: str) -> None:
        if not self.errors:
            return
        said = "\n".join(f"    {line}" for line in self.errors[-_MOST_ERRORS:])
        raise BuildFailed(
            f"cf-agent did not keep all promises of {policy}:\n{said}",
            hint="a promise that may fail belongs behind a class that says so;"
            " nothing of it was kept",
            operation="images.build",
            backend="libvirt",
        )
