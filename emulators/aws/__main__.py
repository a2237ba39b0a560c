"""Run the emulated AWS: ``python -m emulators.aws --port 5000``."""

import argparse
import os
import signal
import sys
import threading

from emulators.aws.settings import Settings


def main() -> None:
    """Serve until a signal, or until standard input ends where a handle started it."""
    parser = argparse.ArgumentParser(
        prog="python -m emulators.aws", description=__doc__
    )
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--settings", default="{}", help="a JSON object; see README.md")
    parser.add_argument("--child", action="store_true", help="end with standard input")
    options = parser.parse_args()
    # moto would make 1,300 images for each region, and again after every reset
    os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    from emulators.aws.server import serving

    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with serving(Settings.parse(options.settings), options.port) as port:
        print(f"http://127.0.0.1:{port}", flush=True)
        if options.child:
            threading.Thread(target=_until_orphaned, args=(stop,), daemon=True).start()
        stop.wait()


def _until_orphaned(stop: threading.Event) -> None:
    sys.stdin.read()
    stop.set()


if __name__ == "__main__":
    main()
