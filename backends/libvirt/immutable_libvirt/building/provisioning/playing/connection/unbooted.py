# ruff: noqa: INP001 - Ansible loads it by its path
"""An Ansible connection to an image that is mounted here: by chroot, without a server.

https://docs.ansible.com/ansible-core/devel/dev_guide/developing_plugins.html
"""

import subprocess
from pathlib import Path

from ansible.plugins.connection import ConnectionBase

DOCUMENTATION = """
name: unbooted
short_description: an image that is mounted on this machine
description:
  - Runs modules in the image by chroot.
options:
  inside:
    description: The command that runs another one in the image, as a list.
    type: list
    elements: string
    vars: [{name: ansible_unbooted_inside}]
    required: true
  remote_user:
    description: Always root.
    vars: [{name: ansible_user}]
    default: root
extends_documentation_fragment:
  - connection_pipelining
"""

# Names of files are resolved in the image: a link in it never leads out of it.
_PUT, _FETCH = 'cat >"$1"', 'cat <"$1"'


class Connection(ConnectionBase):  # type: ignore[misc]  # Ansible has no types
    """What Ansible asks of a connection: to run, to put and to fetch."""

    transport = "unbooted"
    has_pipelining = True

    def _connect(self) -> "Connection":
        self._connected = True
        return self

    def exec_command(
        self,
        cmd: str,
        in_data: bytes | None = None,
        sudoable: bool = True,  # noqa: FBT001, FBT002 - as Ansible calls it
    ) -> tuple[int, bytes, bytes]:
        """Run a shell command in the image; returns status, output and errors."""
        super().exec_command(cmd, in_data=in_data, sudoable=sudoable)
        return self._run(["/bin/sh", "-c", cmd], in_data or b"")

    def put_file(self, in_path: str, out_path: str) -> None:
        """Copy a file of this machine into the image."""
        super().put_file(in_path, out_path)
        self._script(_PUT, out_path, Path(in_path).read_bytes())

    def fetch_file(self, in_path: str, out_path: str) -> None:
        """Copy a file of the image to this machine."""
        super().fetch_file(in_path, out_path)
        Path(out_path).write_bytes(self._script(_FETCH, in_path))

    def close(self) -> None:
        """Do nothing: there is no connection to end."""
        self._connected = False

    def _script(self, script: str, path: str, given: bytes = b"") -> bytes:
        status, output, errors = self._run(["/bin/sh", "-c", script, "sh", path], given)
        if status:
            raise OSError(f"{path} in the image: {errors.decode(errors='replace')}")
        return output

    def _run(self, argv: list[str], given: bytes) -> tuple[int, bytes, bytes]:
        command = [*self.get_option("inside"), *argv]
        done = subprocess.run(command, input=given, capture_output=True, check=False)
        return done.returncode, done.stdout, done.stderr
