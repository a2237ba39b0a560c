"""Kill deployers with SIGKILL under traffic, and see that nobody notices.

python -m proofs.sigkill --backend processes|libvirt --count N --seed S [--seconds T]
python -m proofs.sigkill --first --count N --seed S [--seconds T]
"""

import argparse
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from proofs.sigkill.first import run_first
from proofs.sigkill.on_processes import OnProcesses
from proofs.sigkill.ports import free_port
from proofs.sigkill.running import Aims, run
from proofs.sigkill.site import Ground, Site
from proofs.sigkill.tally import Tally
from proofs.sigkill.verbs import Verb

if TYPE_CHECKING:
    from proofs.sigkill.on_libvirt import OnLibvirt

POOL = Path("/var/tmp/immutable-proofs/pool")  # noqa: S108 - root's, and kept between runs


def main(arguments: list[str] | None = None) -> int:
    """Run the experiment and return its exit status: 0 when all was as it should."""
    options = _options(arguments)
    # asked to end, it still puts away what it started
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    aims = Aims(count=options.count, seed=options.seed, seconds=options.seconds)
    with tempfile.TemporaryDirectory(prefix="immutable-sigkill-") as name:
        tally = _run(options, Path(name), aims)
    for line in tally.lines():
        sys.stdout.write(f"{line}\n")
    return 1 if any(tally.violations()) else 0


def _run(options: argparse.Namespace, directory: Path, aims: Aims) -> Tally:
    if options.first:
        return run_first(directory, aims, _note)
    site = Site(
        directory=directory,
        listen=f"127.0.0.1:{free_port()}",
        ground=_with_verbs(_ground(options, directory), options.verbs),
    )
    return run(site, aims, _note)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m proofs.sigkill", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument(
        "--backend", choices=("processes", "libvirt"), default="processes"
    )
    parser.add_argument("--count", type=int, default=240, help="deployers to kill")
    parser.add_argument("--seed", type=int, default=1, help="chooses and orders kills")
    parser.add_argument(
        "--seconds",
        type=float,
        default=float("inf"),
        help="begin no kill after so long",
    )
    parser.add_argument(
        "--pool", type=Path, default=POOL, help="where libvirt keeps images and disks"
    )
    parser.add_argument(
        "--verbs", type=_verbs, help="what to kill deployers at: deploy,grow,…"
    )
    parser.add_argument(
        "--first",
        action="store_true",
        help="kill first deployments, each of another service, on processes",
    )
    return parser.parse_args(arguments)


def _verbs(text: str) -> tuple[Verb, ...]:
    return tuple(Verb(word) for word in text.split(","))


def _ground(options: argparse.Namespace, directory: Path) -> "OnProcesses | OnLibvirt":
    if options.backend == "libvirt":
        # imported on first use: the other backend needs no libvirt
        from proofs.sigkill.on_libvirt import on_libvirt

        return on_libvirt(options.pool)
    instances = directory / "instances"
    instances.mkdir()
    return OnProcesses(directory=instances, port=free_port())


def _with_verbs(
    ground: "OnProcesses | OnLibvirt", verbs: tuple[Verb, ...] | None
) -> Ground:
    return attrs.evolve(ground, verbs=verbs) if verbs else ground


def _note(text: str) -> None:
    sys.stderr.write(f"{text}\n")


if __name__ == "__main__":
    sys.exit(main())
