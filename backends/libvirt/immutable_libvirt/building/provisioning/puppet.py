"""Puppet: ``puppet apply`` inside the image, without a server, an agent or a report.

All that Puppet itself writes (state, cache, keys, logs, reports) goes to /run, which is
no part of the image. The options are those of Puppet 7, as Debian has it:
https://www.puppet.com/docs/puppet/7/man/apply.html.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

from immutable.images.layers import Puppet
from immutable.images.record import Tool
from immutable_libvirt.building.provisioning.asking import program_of, version_of
from immutable_libvirt.building.provisioning.handing import POLICY, handed_over
from immutable_libvirt.building.provisioning.site import Site

_PROGRAMS = ("/usr/bin/puppet", "/opt/puppetlabs/bin/puppet")
_PACKAGE = "puppet-agent"
_INSTALL = f'.packages("{_PACKAGE}")'
_POLICY, _OWN = f"/run/{POLICY}", "/run/puppet"
_FILES = ("apply-puppet", "facter.conf")
_DIRECTORIES = ("code", "conf", "log", "public", "run", "ssl", "var")


def make(layer: Puppet, site: Site) -> None:
    """Apply a manifest to the image.

    Raises:
        MissingFiles: the manifest is not there.
        Unavailable: the image has no Puppet.
        BuildFailed: it does not compile, or a resource failed.
    """
    policy = handed_over(site, layer.source, layer.manifest)
    apply = [_program(site), "apply", *_options(policy)]
    site.inside.run(
        ["/bin/sh", f"{_OWN}/apply-puppet", *apply, f"{_POLICY}/{layer.manifest}"],
        what=f"puppet apply {layer.manifest}",
        handed={POLICY: policy, "puppet:rw": _own(site)},
        variables={f"FACTER_{name}": value for name, value in layer.facts},
        network=layer.network,
        deadline=layer.deadline,
        on_output=site.on_output,
    )


def version(site: Site) -> Tool:
    """Return the Puppet of the image.

    Raises:
        Unavailable: it has none.
    """
    return version_of(site, "puppet", _program(site), package=_PACKAGE)


def _program(site: Site) -> str:
    return program_of(site, *_PROGRAMS, install=_INSTALL)


def _own(site: Site) -> Path:
    """Return the directory for whatever Puppet writes for itself."""
    own = site.work / "puppet"
    own.mkdir()
    for name in _FILES:
        shutil.copyfile(Path(__file__).with_name(name), own / name)
    return own


def _options(policy: Path) -> Iterator[str]:
    yield "--detailed-exitcodes"
    yield f"--modulepath={_POLICY}/modules"
    if (policy / "hiera.yaml").is_file():
        yield f"--hiera_config={_POLICY}/hiera.yaml"
    yield from ("--certname=image", "--color=false", "--reports=none")
    for name in _DIRECTORIES:
        yield f"--{name}dir={_OWN}/{name}"
