"""Which layers a builder makes, and how: as work for a system with apt or dnf, and systemd.

What `immutable.images.bundling` offers is taken as it is. Packages come from wherever the
AMI's own sources lead, and are not pinned.
"""

import shlex
import shutil
from pathlib import Path, PurePosixPath

from immutable.baking import Work
from immutable.errors import MissingFiles, Unsupported
from immutable.images.bundling import work_of
from immutable.images.content import inventory
from immutable.images.layers import NO_HOME, Daemon, Files, Layer, Packages, Unit, User
from immutable_aws.errors import NAME

_SERVICES = PurePosixPath("/usr/lib/immutable/services")
_INSTALL = """\
if command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    # whoever else installs is waited for, by apt 1.9.11 and newer; not for lists of packages
    lock=DPkg::Lock::Timeout=300
    apt-get -q -o "$lock" update
    apt-get -qy -o "$lock" --no-install-recommends install "$@"
    apt-get clean
else
    for name; do
        shift
        set -- "$@" "$(echo "$name" | tr = -)"
    done
    dnf -qy --setopt=install_weak_deps=False install "$@"
    dnf -q clean all
fi
"""
_PLACE_TREE = """\
group=$(id -g "$2")
[ -d "$1" ] || install -d -m 0755 -o "$2" -g "$group" "$1"
tar -C /run/files --owner="$2" --group="$group" -cf - . |
    tar -C "$1" -xpf - --no-overwrite-dir --keep-directory-symlink
"""
_PLACE_FILE = """\
group=$(id -g "$2")
if [ -d "$1" ]; then echo "$1 is a directory already"; exit 1; fi
mkdir -p "$(dirname "$1")"
rm -f "$1"
cp -p /run/file "$1"
chown "$2:$group" "$1"
chmod --reference=/run/file "$1"
"""
_ADD_USER = """\
name=$1
shift
if id "$name" >/dev/null 2>&1; then exit 0; fi
exec useradd --user-group "$@" "$name"
"""
_ENABLE = """\
install -D -m 0644 "/run/unit/$1" "/etc/systemd/system/$1"
systemd-analyze verify --man=no --recursive-errors=no "/etc/systemd/system/$1"
exec systemctl --root=/ enable "$1"
"""
_SERVE = f"""\
install -D -m 0755 "/run/unit/$1" "{_SERVICES}/$1"
install -D -m 0644 "/run/unit/$1.service" "/etc/systemd/system/$1.service"
exec systemctl --root=/ enable "$1.service"
"""
_UNIT = """\
[Unit]
Description={name}
After=network-online.target
Wants=network-online.target

[Service]
ExecStart={services}/{name}
{user}Restart=always
RestartSec=1

[Install]
WantedBy=multi-user.target
"""


def works_of(layers: tuple[Layer, ...], scratch: Path) -> tuple[Work, ...]:
    """Return the work that makes layers, one for each.

    Args:
        layers: in their order.
        scratch: a directory for what is handed over, which lives as long as the work.

    Raises:
        Unsupported: a layer is of a kind that no builder here makes.
        MissingFiles: what it names is not there.
    """
    return tuple(
        work_of(layer) or _work(layer, scratch / str(number))
        for number, layer in enumerate(layers)
    )


def _work(layer: Layer, scratch: Path) -> Work:
    match layer:
        case Packages():
            names = sorted(set(layer.names))
            what = f"installing {', '.join(names)}"
            return Work(what=what, argv=_shell(_INSTALL, *names), network=True)
        case Files():
            return _placing(layer, scratch)
        case User():
            return Work(what=f"adding {layer.name}", argv=_adding(layer))
        case Daemon():
            return _serving(layer, scratch)
        case Unit():
            return _enabling(layer, scratch)
        case _:
            raise Unsupported(
                f"no builder here makes a layer of the kind {type(layer).__name__.lower()}",
                hint="do it with .files(…) and .run(…, network=True), or elsewhere",
                operation="images.build",
                backend=NAME,
            )


def _shell(script: str, *arguments: str) -> tuple[str, ...]:
    return ("/bin/sh", "-ec", script, "sh", *arguments)


def _placing(layer: Files, scratch: Path) -> Work:
    entries = inventory(layer.source, layer.exclude)
    what = f"copying {layer.source} to {layer.target}"
    where = (str(layer.target), layer.owner or "root")
    if not layer.source.is_dir():
        handed = (("file", layer.source),)
        return Work(what=what, argv=_shell(_PLACE_FILE, *where), handed=handed)
    scratch.mkdir(parents=True)
    for entry in entries:
        source, target = layer.source / entry.name, scratch / entry.name
        if entry.kind == "directory":
            target.mkdir()
            target.chmod(entry.mode)
        else:
            shutil.copy2(source, target, follow_symlinks=False)
    handed = (("files", scratch),)
    return Work(what=what, argv=_shell(_PLACE_TREE, *where), handed=handed)


def _adding(user: User) -> tuple[str, ...]:
    options = ["--home-dir", str(user.home), "--shell", str(user.shell)]
    options += ["--no-create-home" if user.home == NO_HOME else "--create-home"]
    options += ["--uid", str(user.uid)] if user.uid is not None else []
    options += ["--groups", ",".join(user.groups)] if user.groups else []
    return _shell(_ADD_USER, user.name, *options)


def _serving(layer: Daemon, scratch: Path) -> Work:
    exports = [f"export {k}={shlex.quote(v)}\n" for k, v in layer.environment]
    script = "".join(["#!/bin/sh\n", *exports, f"exec {shlex.join(layer.command)}\n"])
    user = f"User={layer.user}\n" if layer.user else ""
    unit = _UNIT.format(name=layer.name, services=_SERVICES, user=user)
    scratch.mkdir(parents=True)
    (scratch / layer.name).write_text(script, encoding="utf-8")
    (scratch / f"{layer.name}.service").write_text(unit, encoding="utf-8")
    return Work(
        what=f"enabling {layer.name}",
        argv=_shell(_SERVE, layer.name),
        handed=(("unit", scratch),),
    )


def _enabling(layer: Unit, scratch: Path) -> Work:
    if not layer.source.is_file():
        raise MissingFiles(
            f"{layer.source} is not there",
            hint="the path is relative to the working directory",
        )
    scratch.mkdir(parents=True)
    shutil.copyfile(layer.source, scratch / layer.name)
    return Work(
        what=f"enabling {layer.name}",
        argv=_shell(_ENABLE, layer.name),
        handed=(("unit", scratch),),
    )
