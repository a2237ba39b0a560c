"""Replace real servers under traffic, and show that nobody noticed.

python -m demo [--backend URL] [--listen ADDRESS:PORT] [--per-second N] [--keep]
"""

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import attrs

import immutable
from demo.grounds import Ground, ground_of
from demo.report import Scene, history_table, table
from demo.traffic import Moves, Traffic, failed, wrong
from immutable.results import Deployment

APP = Path(__file__).parent / "app"
LOG_LINES = 12


@attrs.define
class Demo:
    """The service, its traffic, and what has been seen so far."""

    service: immutable.Service
    ground: Ground
    traffic: Traffic
    moves: Moves
    work: Path
    scenes: list[Scene] = attrs.field(factory=list)

    def deploy(
        self, version: str, mood: str = "well", greeting: str = "shop"
    ) -> Deployment:
        """Build a version of the app and deploy it."""
        image = immutable.build(
            self._recipe(version, mood, greeting),
            backend=self.service.backend,
            progress="auto",
        )
        self.moves.version = version
        return immutable.deploy(
            self.service, image, on_event=self.moves.listen, progress="auto"
        )

    def scene(
        self, title: str, expected: str, work: Callable[[], Deployment]
    ) -> Deployment:
        """Do one step, and judge the traffic that flowed meanwhile."""
        say(f"\n=== {title}")
        seen, began = len(self.traffic.answers()), time.monotonic()
        done = work()
        took_s = time.monotonic() - began
        time.sleep(0.5)
        answers = self.traffic.answers()[seen:]
        self.scenes.append(
            Scene(
                title=title,
                expected=expected,
                found=str(done.outcome),
                took_s=took_s,
                sent=len(answers),
                failed=len(failed(answers)),
                wrong=len(wrong(answers, self.moves.moves)),
            )
        )
        return done

    def _recipe(self, version: str, mood: str, greeting: str) -> immutable.Recipe:
        app = self.work / version
        shutil.copytree(
            APP, app, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__")
        )
        for name, text in (
            ("version", version),
            ("mood", mood),
            ("greeting", greeting),
        ):
            (app / name).write_text(text)
        return self.ground.base.files(app, "/srv/shop").service(
            "shop", "/usr/bin/python3 /srv/shop/server.py"
        )


def say(text: str) -> None:
    """Tell the person who watches."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Run the demo and return its exit status: 0 when all was as stated."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="immutable-demo-") as work:
        return _run(options, Path(work))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m demo", description=__doc__.split("\n")[0]
    )
    parser.add_argument(
        "--backend", default="libvirt:///system", help="where the fleets run"
    )
    parser.add_argument(
        "--listen", default="127.0.0.1:8080", help="where production answers"
    )
    parser.add_argument(
        "--per-second", type=int, default=40, help="requests per second"
    )
    parser.add_argument("--keep", action="store_true", help="leave everything running")
    return parser.parse_args()


def _run(options: argparse.Namespace, work: Path) -> int:
    service = _service(options, work)
    host, _, port = options.listen.rpartition(":")
    traffic = Traffic(
        host, int(port), work / "traffic.log", per_second=options.per_second
    )
    ground = ground_of(options.backend)
    demo = Demo(
        service=service, ground=ground, traffic=traffic, moves=Moves(), work=work
    )
    try:
        _play(demo)
        return _conclude(demo)
    finally:
        if not options.keep:
            _clear_away(options, service)


def _service(options: argparse.Namespace, work: Path) -> immutable.Service:
    return immutable.Service(
        "demo",
        backend=options.backend,
        size=2,
        ports=8080,
        health="/healthz",
        switch=f"haproxy://?listen={options.listen}&directory={work / 'switch'}",
        ledger=f"sqlite:///{work / 'ledger.db'}",
        validators=[immutable.http("/version", contains="shop")],
        strategy=immutable.BlueGreen(bake="3s", keep_warm="1h"),
        ready_timeout="60s",
    )


def _play(demo: Demo) -> None:
    demo.scene("deploy v1", "live", lambda: demo.deploy("v1")).raise_for_outcome()
    with demo.traffic:
        time.sleep(1)
        demo.scene("deploy v2 (code change)", "live", lambda: demo.deploy("v2"))
        _play_failures(demo)
        demo.moves.version = "v1"
        demo.scene("roll back to v1", "live", lambda: _rollback(demo))
        demo.scene(
            f"a {demo.ground.word} dies, heal", "live", lambda: _kill_and_heal(demo)
        )
        demo.scene("scale 2 to 3", "live", lambda: _scale(demo))
        demo.scene("deploy v5, keeps 3", "live", lambda: demo.deploy("v5"))


def _play_failures(demo: Demo) -> None:
    service = demo.service
    patient = attrs.evolve(service, ready_timeout=demo.ground.patience)
    demo.service = patient
    sick = demo.scene(
        "deploy v3 (never healthy)",
        "rolled back",
        lambda: demo.deploy("v3", mood="sick"),
    )
    demo.service = service
    _show_evidence(sick)
    demo.scene(
        "deploy v4 (fails its validator)",
        "rolled back",
        lambda: demo.deploy("v4", greeting="something else"),
    )


def _rollback(demo: Demo) -> Deployment:
    return immutable.rollback(demo.service, on_event=demo.moves.listen, progress="auto")


def _scale(demo: Demo) -> Deployment:
    return immutable.scale(demo.service, 3, progress="auto")


def _kill_and_heal(demo: Demo) -> Deployment:
    victim = _a_live_instance(demo)
    say(demo.ground.kill(victim))
    time.sleep(1)
    return immutable.heal(demo.service, progress="auto")


def _a_live_instance(demo: Demo) -> str:
    status = immutable.status(demo.service)
    release = status.release.number if status.release else None
    live = next(fleet.name for fleet in status.fleets if fleet.role == "live")
    logs = immutable.logs(demo.service, release=release, tail_bytes=1)
    return next(log.instance for log in logs if log.fleet == live)


def _show_evidence(done: Deployment) -> None:
    if done.evidence:
        log = done.evidence[0]
        say(f"\nthe last words of {log.instance}, which is gone:")
        for line in (log.console.splitlines() + log.journal.splitlines())[-LOG_LINES:]:
            say(f"    {line}")


def _conclude(demo: Demo) -> int:
    say(f"\n{table(demo.scenes)}\n")
    say(history_table(immutable.history(demo.service)))
    kept = sum(
        fleet.size for fleet in immutable.status(demo.service).fleets if fleet.weight
    )
    if all(scene.is_good for scene in demo.scenes) and kept == 3:  # noqa: PLR2004
        say(
            "\nall as stated: no request failed, none was answered by the wrong release"
        )
        return 0
    say(f"\nNOT AS STATED (live size {kept})")
    for answer in failed(demo.traffic.answers())[:LOG_LINES]:
        say(f"    {answer}")
    return 1


def _clear_away(options: argparse.Namespace, service: immutable.Service) -> None:
    say("\nclearing away")
    ended = immutable.destroy(service)
    if ended.leftovers:
        say(f"left over: {', '.join(ended.leftovers)}")
    from immutable.registry import open_backend, open_switch

    switch = open_switch(
        service.switch, open_backend(options.backend), service.name, port=8080
    )
    shut_down = getattr(switch, "shut_down", None)
    if shut_down is not None:
        shut_down()


if __name__ == "__main__":
    sys.exit(main())
