"""Builders for real: what an emulated instance is told at boot is run, in a root of its own.

The emulator boots nothing. This watches for instances of a bake, and does with their user
data what cloud-init would: it decompresses the script and runs it as root. It runs in a root
directory made of this machine's programs, read-only, and of places that can be written, with
process numbers and mounts of its own. When it ends, the instance is stopped, as one is that
powers itself off. What this does not show: cloud-init, systemd, EC2, and that the AMIs of
distributions have what the program needs.
"""

import base64
import gzip
import os
import subprocess
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any, Self

from immutable.host import Stop, ThisHost

REGION = "eu-west-1"
_SEEN_EVERY_S = 0.05
# Made inside a mount namespace that ends with it: nothing is left mounted.
_ROOT = """\
set -e
root=$1
mkdir -p $root/usr $root/etc/ssh $root/proc $root/dev $root/run $root/root/.ssh \\
    $root/var/tmp $root/var/lib/cloud/instances/i-1 $root/tmp $root/stub $root/opt
mount --make-rprivate /
mount --bind /usr $root/usr
mount -o remount,bind,ro $root/usr
for link in bin lib lib64 sbin; do ln -sf usr/$link $root/$link; done
for name in passwd group hosts nsswitch.conf; do cp /etc/$name $root/etc/; done
echo 0123456789abcdef0123456789abcdef >$root/etc/machine-id
echo secret >$root/etc/ssh/ssh_host_ed25519_key
echo told >$root/var/lib/cloud/instances/i-1/user-data.txt
echo key >$root/root/.ssh/authorized_keys
printf '#!/bin/sh\\necho "$*" >>/stub/called\\n' >$root/stub/systemctl
chmod +x $root/stub/systemctl
mount -t proc proc $root/proc
mount -t tmpfs tmpfs $root/run
for device in null zero random urandom full; do
    : >$root/dev/$device
    mount --bind /dev/$device $root/dev/$device
done
ln -sf /proc/self/fd $root/dev/fd
export PATH=/stub:/usr/sbin:/usr/bin:/sbin:/bin
exec chroot $root /told
"""


class Hurried(ThisHost):
    """This machine, where pauses are a tenth: the emulated AWS is that much faster."""

    def sleep(self, pause: timedelta, stop: Stop) -> None:
        """Sleep for a tenth of the time."""
        super().sleep(pause / 10, stop)


class Builders:
    """Runs what the emulated builders are told, each as soon as it is on."""

    def __init__(self, emulator: Any, ec2: Any, directory: Path) -> None:
        self._emulator = emulator
        self._directory = directory
        self._over = threading.Event()
        self._ec2 = ec2
        self._thread = threading.Thread(target=self._watch)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.told: dict[str, bytes] = {}
        """What each instance was told, as it was."""
        self.is_deaf = False
        """Whether those that are launched from now on never begin."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        for process in self._processes.values():
            process.kill()
            process.wait()

    def root(self, instance: str) -> Path:
        """Return the root directory of an instance."""
        return self._directory / instance

    @property
    def launched(self) -> list[str]:
        """Return the instances that were begun, in order."""
        return list(self.told)

    def _watch(self) -> None:
        while not self._over.wait(_SEEN_EVERY_S):
            for instance, machine in self._emulator.machines().items():
                if machine["state"] == "running" and instance not in self.told:
                    self._begin(instance)
            for instance, process in list(self._processes.items()):
                if process.poll() is not None:
                    del self._processes[instance]
                    self._emulator.kill(instance, state="stopped")

    def _begin(self, instance: str) -> None:
        answer = self._ec2.describe_instance_attribute(
            InstanceId=instance, Attribute="userData"
        )
        self.told[instance] = base64.b64decode(answer["UserData"].get("Value", ""))
        root = self.root(instance)
        root.mkdir(parents=True)
        program = root / "told"
        program.write_bytes(gzip.decompress(self.told[instance]))
        program.chmod(0o700)
        argv = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
        if self.is_deaf:
            return
        with (self._directory / f"{instance}.log").open("wb") as log:
            self._processes[instance] = subprocess.Popen(
                [*argv, "/bin/sh", "-c", _ROOT, "sh", str(root)],
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(os.environ, PYTHONDONTWRITEBYTECODE="1"),
            )
