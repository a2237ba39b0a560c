"""The peer: Packer's QEMU builder, on the same kernel, base and app.

Packer boots a copy of a disk, copies the app over SSH, shuts the machine down and keeps
the disk. Its disk is made here, untimed, from the same layers that our images have.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path, PurePosixPath

import attrs

from bench.figures import CannotMeasure
from immutable.model import ImageId
from immutable_libvirt.bootable import BootFiles
from immutable_libvirt.building.cpio import archive, program
from immutable_libvirt.images import boot_files

PACKAGES = ("openssh-server",)
"""What Packer needs inside the machine, and we do not."""
_INIT = Path(__file__).with_name("guest") / "packer-init"
_SSHD = "PermitRootLogin prohibit-password\nUsePAM no\nUseDNS no\n"
_SSHD += "Subsystem sftp /usr/lib/openssh/sftp-server\n"
_OFF = "sync; echo s >/proc/sysrq-trigger; echo o >/proc/sysrq-trigger"
_SERVICE = "/usr/lib/immutable/services/bench"


@attrs.frozen(kw_only=True)
class Packer:
    """Everything that a build needs but the app."""

    program: str
    folder: Path
    disk: Path
    kernel: Path
    initrd: Path
    key: Path

    @classmethod
    def prepared(cls, folder: Path, pool: Path, image: ImageId) -> "Packer":
        """Make the disk, the initramfs and the key.

        Args:
            folder: where they are kept.
            pool: where the image is.
            image: the base with `PACKAGES`.

        Raises:
            CannotMeasure: Packer or a tool that it needs is not installed.
        """
        packer = shutil.which("packer")
        if packer is None:
            raise CannotMeasure("Packer is not installed; install packer")
        boot, key = boot_files(pool, image), folder / "key"
        _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key)
        return cls(
            program=packer,
            folder=folder,
            disk=_disk(folder, boot, key),
            kernel=boot.kernel,
            initrd=_initrd(folder, boot),
            key=key,
        )

    def build(self, app: Path) -> None:
        """Build the app's image with Packer."""
        output = self.folder / "output"
        shutil.rmtree(output, ignore_errors=True)
        template = self.folder / "template.json"
        template.write_text(json.dumps(self._template(app, output)), encoding="utf-8")
        folder = {
            "PACKER_CACHE_DIR": str(self.folder / "cache"),
            "PACKER_CONFIG_DIR": str(self.folder / "config"),
            "CHECKPOINT_DISABLE": "1",
        }
        done = subprocess.run(
            [self.program, "build", "-color=false", template],
            env=os.environ | folder,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise CannotMeasure(f"Packer failed: {done.stdout[-2000:]}{done.stderr}")

    def _template(self, app: Path, output: Path) -> dict[str, object]:
        places = [
            f"mv /srv/{app.name} /srv/bench",
            f"mkdir -p {PurePosixPath(_SERVICE).parent}",
            f"ln -s /srv/bench/server {_SERVICE}",
        ]
        return {
            "builders": [self._builder(output)],
            "provisioners": [
                {"type": "file", "source": str(app), "destination": "/srv/"},
                {"type": "shell", "inline": places},
            ],
        }

    def _builder(self, output: Path) -> dict[str, object]:
        return {
            "type": "qemu",
            "accelerator": "tcg",
            "headless": True,
            "iso_url": str(self.disk),
            "iso_checksum": "none",
            "disk_image": True,
            "format": "qcow2",
            "skip_resize_disk": True,
            "skip_compaction": True,
            "disk_interface": "virtio",
            "net_device": "virtio-net",
            "machine_type": "q35",
            "boot_wait": "1ms",
            "output_directory": str(output),
            "communicator": "ssh",
            "ssh_username": "root",
            "ssh_private_key_file": str(self.key),
            "ssh_timeout": "5m",
            "shutdown_command": _OFF,
            "qemuargs": [
                ["-m", "256"],
                ["-cpu", "Nehalem"],
                ["-kernel", str(self.kernel)],
                ["-initrd", str(self.initrd)],
                ["-append", "console=ttyS0 no_timer_check cryptomgr.notests"],
            ],
        }


def _disk(folder: Path, boot: BootFiles, key: Path) -> Path:
    """Return a disk with the image's layers on one ext4, and sshd ready to start."""
    tree, raw = folder / "tree", folder / "disk.raw"
    tree.mkdir()
    for number, layer in enumerate(boot.layers):
        part = folder / f"layer{number}"
        _run("fsck.erofs", f"--extract={part}", layer)
        _run("cp", "-a", f"{part}/.", tree)
        shutil.rmtree(part)
    _let_in(tree, key)
    _run("mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, raw, "600M")
    shutil.rmtree(tree)
    disk = folder / "disk.qcow2"
    _run("qemu-img", "convert", "-O", "qcow2", raw, disk)
    raw.unlink()
    return disk


def _let_in(tree: Path, key: Path) -> None:
    ssh, home = tree / "etc/ssh", tree / "root/.ssh"
    for old in ssh.glob("ssh_host_*"):
        old.unlink()
    _run(
        "ssh-keygen",
        "-q",
        "-t",
        "ed25519",
        "-N",
        "",
        "-f",
        ssh / "ssh_host_ed25519_key",
    )
    (ssh / "sshd_config").write_text(_SSHD, encoding="utf-8")
    home.mkdir(mode=0o700, exist_ok=True)
    (home / "authorized_keys").write_bytes(key.with_name("key.pub").read_bytes())
    for name in ("dev", "proc", "sys", "run", "srv"):
        (tree / name).mkdir(exist_ok=True)


def _initrd(folder: Path, boot: BootFiles) -> Path:
    """Return the backend's initramfs with another init: the last archive wins."""
    first = boot.initrd.read_bytes()
    padding = b"\0" * (-len(first) % 4)
    path = folder / "initrd"
    path.write_bytes(first + padding + archive([program("init", _INIT.read_bytes())]))
    return path


def _run(*command: str | Path) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True)
    except FileNotFoundError as exc:
        raise CannotMeasure(f"Packer's disk needs {exc.filename}") from exc
    except subprocess.CalledProcessError as exc:
        said = exc.stderr.decode(errors="replace")[-500:]
        raise CannotMeasure(f"Packer's disk: {command[0]}: {said}") from exc
