"""Ansible: ansible-core on this machine, through ansible-runner, against the image.

It runs in the namespaces in which the image is mounted, and reaches the image by a
connection plugin of our own. The image has one host, named ``localhost``: a playbook for
``all`` and one for ``localhost`` both mean the image, never this machine. Nothing of this
machine's settings, roles or collections counts: what lies beside the playbook does.
"""

import json
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

from immutable.errors import Unavailable, Unsupported
from immutable.images.layers import Ansible
from immutable.images.record import Tool
from immutable_libvirt.building.base import LEFTOVERS
from immutable_libvirt.building.chroot import Chroot
from immutable_libvirt.building.process import PLAIN, environment
from immutable_libvirt.building.provisioning.asking import program_of
from immutable_libvirt.building.provisioning.handing import handed_over
from immutable_libvirt.building.provisioning.site import Site
from immutable_libvirt.building.tree import clean

_PYTHON = "/usr/bin/python3"
_PLAYING = Path(__file__).with_name("playing")
_NEEDED = ("ansible-core", "ansible-runner")
_INSTALL = 'pip install "immutable-deploy-libvirt[ansible]"'
# Written to the image's memory: gone with the run.
_REMOTE = "/tmp/.ansible"  # noqa: S108 - the image's own, an empty tmpfs that is root's
_ENV = ("/usr/bin/env", "-i")
_LEFTOVERS = (*LEFTOVERS, "root/.ansible", "root/.ansible_async")


def make(layer: Ansible, site: Site) -> None:
    """Play a playbook against the image.

    Raises:
        MissingFiles: the playbook is not there.
        Unavailable: Ansible is not installed here, or no Python in the image.
        BuildFailed: a task failed; holds the last lines.
        Unsupported: the image is in a machine of its own.
    """
    check()
    chroot = _chroot(site)
    program_of(site, _PYTHON, install='.packages("python3")')
    project = handed_over(site, layer.source, layer.playbook)
    home = site.work / "ansible"
    order = _order(layer, chroot, project, home)
    (home / "tmp").mkdir(parents=True)
    (home / "ansible.cfg").touch()
    (home / "order.json").write_text(json.dumps(order), encoding="utf-8")
    chroot.enter(
        [sys.executable, "-P", str(_PLAYING / "play.py"), str(home / "order.json")],
        handed={},
        what=f"ansible-playbook {layer.playbook}",
        variables=_variables(home),
        network=layer.network,
        deadline=layer.deadline,
        on_output=site.on_output,
    )
    clean(chroot.upper, _LEFTOVERS)


def check() -> None:
    """Check that Ansible is installed on this machine.

    Raises:
        Unavailable: it is not.
    """
    missing = [name for name in _NEEDED if not _is_installed(name)]
    if missing or not _playbook().is_file():
        raise Unavailable(
            f"Ansible layers need {' and '.join(missing or _NEEDED)}, which is not"
            " installed",
            hint=f"run: {_INSTALL}",
            operation="images.build",
            backend="libvirt",
        )


def version(site: Site) -> Tool:
    """Return the Ansible of this machine.

    Raises:
        Unavailable: it is not installed.
    """
    del site
    check()
    return Tool(name="ansible-core", version=metadata.version("ansible-core"))


def _chroot(site: Site) -> Chroot:
    if isinstance(site.inside, Chroot):
        return site.inside
    raise Unsupported(
        "Ansible runs on this machine, and reaches only an image that is mounted here",
        hint="build the layer without a machine of its own",
        operation="images.build",
        backend="libvirt",
    )


def _is_installed(name: str) -> bool:
    return any(True for _ in metadata.distributions(name=name))


def _playbook() -> Path:
    return Path(sysconfig.get_path("scripts")) / "ansible-playbook"


def _variables(home: Path) -> Mapping[str, str]:
    """Return the environment of ansible-runner, which finds programs by their names."""
    path = f"{_playbook().parent}:{environment()['PATH']}"
    return {"HOME": str(home), "PATH": path}


def _order(
    layer: Ansible, chroot: Chroot, project: Path, home: Path
) -> Mapping[str, object]:
    """Return what `play.py` is told: arguments of ``ansible_runner.run``."""
    plain = [f"{name}={value}" for name, value in PLAIN]
    host = {
        "ansible_connection": "unbooted",
        "ansible_python_interpreter": _PYTHON,
        "ansible_unbooted_inside": ["chroot", str(chroot.root), *_ENV, *plain],
        "ansible_user": "root",
    }
    return {
        "private_data_dir": str(home),
        "project_dir": str(project),
        "playbook": layer.playbook,
        "inventory": {"all": {"hosts": {"localhost": host}}},
        "extravars": dict(layer.variables),
        "envvars": dict(_settings(project, home)),
    }


def _settings(project: Path, home: Path) -> Iterator[tuple[str, str]]:
    """Yield Ansible's settings as variables, which go before any ``ansible.cfg``.

    https://docs.ansible.com/ansible-core/devel/reference_appendices/config.html
    """
    own = project / "ansible.cfg"
    yield "ANSIBLE_CONFIG", str(own if own.is_file() else home / "ansible.cfg")
    yield "ANSIBLE_HOME", str(home)
    yield "ANSIBLE_LOCAL_TEMP", str(home / "tmp")
    yield "ANSIBLE_REMOTE_TMP", _REMOTE
    yield "ANSIBLE_ASYNC_DIR", f"{_REMOTE}/async"
    yield "ANSIBLE_CONNECTION_PLUGINS", str(_PLAYING / "connection")
    yield "ANSIBLE_COLLECTIONS_PATH", str(project / "collections")
    yield "ANSIBLE_COLLECTIONS_SCAN_SYS_PATH", "false"
    yield "ANSIBLE_ROLES_PATH", str(project / "roles")
    yield "ANSIBLE_CACHE_PLUGIN", "ansible.builtin.memory"
    # Every Debian has su, and users of services have no shell of their own.
    yield "ANSIBLE_BECOME_METHOD", "ansible.builtin.su"
    yield "ANSIBLE_SU_FLAGS", "-s /bin/sh"
    yield "ANSIBLE_PIPELINING", "true"
    yield "ANSIBLE_RETRY_FILES_ENABLED", "false"
    yield "ANSIBLE_NOCOLOR", "true"
    yield "ANSIBLE_NOCOWS", "true"
    yield "ANSIBLE_LOCALHOST_WARNING", "false"
