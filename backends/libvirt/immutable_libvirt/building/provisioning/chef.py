"""Chef: ``chef-client --local-mode`` inside the image, once, without a server.

No distribution has Chef and none was at hand here: this module follows a contract out of
its documentation, and is tested against a program that insists on that contract, not
against Chef. The contract:

- https://docs.chef.io/ctl_chef_client/: the options below; local mode reads and writes
  the repository and its ``.cache``; the version is printed for ``--version``;
- https://docs.chef.io/config_rb_client/: the settings of the file ``client.rb``;
- https://github.com/chef/chef-rfc/blob/master/rfc062-exit-status.md: status 0 is success.

Whoever uses Chef accepts its licence: in the image, by ``.run``, and not by this module.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from immutable.errors import InvalidInput
from immutable.images.layers import Chef
from immutable.images.record import Tool
from immutable_libvirt.building.provisioning.asking import program_of, version_of
from immutable_libvirt.building.provisioning.handing import POLICY, handed_over
from immutable_libvirt.building.provisioning.site import Site

_PROGRAMS = ("/usr/bin/chef-client", "/opt/chef/bin/chef-client")
_INSTALL = ".run() with the command that installs the package from https://chef.io"
_REPOSITORY, _OWN = f"/run/{POLICY}", "/run/chef"
_COOKBOOKS = "cookbooks"
_SETTINGS = f"""\
chef_repo_path "{_REPOSITORY}"
cookbook_path ["{_REPOSITORY}/{_COOKBOOKS}"]
node_name "image"
cache_path "{_OWN}/cache"
file_cache_path "{_OWN}/cache"
file_backup_path "{_OWN}/backup"
lockfile "{_OWN}/lock"
"""
_OPTIONS = (
    "--local-mode",
    "--once",
    "--no-fork",
    "--no-color",
    "--force-formatter",
    "--config",
    f"{_OWN}/client.rb",
    "--json-attributes",
    f"{_OWN}/attributes.json",
    "--override-runlist",
)


def make(layer: Chef, site: Site) -> None:
    """Converge a run list in the image.

    Raises:
        MissingFiles: the repository has no cookbooks.
        InvalidInput: an attribute is both a value and a group of others.
        Unavailable: the image has no Chef.
        BuildFailed: the run failed.
    """
    own = _own(site, dict(layer.attributes))
    repository = handed_over(site, layer.source, _COOKBOOKS)
    site.inside.run(
        [_program(site), *_OPTIONS, layer.run_list],
        what=f"chef-client {layer.run_list}",
        # A copy: local mode writes to it, and nobody reads that.
        handed={f"{POLICY}:rw": repository, "chef:rw": own},
        network=layer.network,
        deadline=layer.deadline,
        on_output=site.on_output,
    )


def version(site: Site) -> Tool:
    """Return the Chef of the image.

    Raises:
        Unavailable: it has none.
    """
    return version_of(site, "chef", _program(site))


def _program(site: Site) -> str:
    return program_of(site, *_PROGRAMS, install=_INSTALL)


def _own(site: Site, attributes: Mapping[str, str]) -> Path:
    own = site.work / "chef"
    own.mkdir()
    (own / "client.rb").write_text(_SETTINGS, encoding="utf-8")
    text = json.dumps(nested(attributes), indent=1, sort_keys=True)
    (own / "attributes.json").write_text(text, encoding="utf-8")
    return own


Nested = dict[str, "str | Nested"]


def nested(attributes: Mapping[str, str]) -> Nested:
    """Return attributes as Chef nests them: a dot in a name leads one deeper.

    Raises:
        InvalidInput: a name is both a value and a group of others.

    Example:
        >>> nested({"shop.port": "80", "shop.name": "green"})
        {'shop': {'name': 'green', 'port': '80'}}
    """
    made: Nested = {}
    for name, value in sorted(attributes.items()):
        *groups, last = name.split(".")
        place: str | Nested = made
        for group in groups:
            place = place.setdefault(group, {}) if isinstance(place, dict) else place
        if not isinstance(place, dict) or last in place:
            raise InvalidInput(
                f"the attribute {name} is also a group of others, or within a value",
                hint="a dot in a name leads one group deeper",
            )
        place[last] = value
    return made
