"""Proof before use: checks of an image's unbooted root and of a booted instance.

`prove` judges an image by checks and returns a `Proof`, a value that is kept beside the
image; `judge_proof` says whether the image may be deployed by it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from immutable.images.proof.checking import (
        Check,
        Finding,
        Judgement,
        digest_of_check,
        failed,
        passed,
        undecided,
    )
    from immutable.images.proof.codec import decode, encode
    from immutable.images.proof.commands import command
    from immutable.images.proof.containing import contained
    from immutable.images.proof.files import file
    from immutable.images.proof.gate import judge_proof
    from immutable.images.proof.gossfiles import goss, goss_program
    from immutable.images.proof.network import http, port
    from immutable.images.proof.packages import package
    from immutable.images.proof.places import Booted, Place, Ran, Root, Runner, Target
    from immutable.images.proof.proving import Proof, digest_of_checks, prove
    from immutable.images.proof.sealing import sealed
    from immutable.images.proof.services import service
    from immutable.images.proof.testinfra import host_tests
    from immutable.images.proof.texts import Text

__all__ = [
    "Booted",
    "Check",
    "Finding",
    "Judgement",
    "Place",
    "Proof",
    "Ran",
    "Root",
    "Runner",
    "Target",
    "Text",
    "command",
    "contained",
    "decode",
    "digest_of_check",
    "digest_of_checks",
    "encode",
    "failed",
    "file",
    "goss",
    "goss_program",
    "host_tests",
    "http",
    "judge_proof",
    "package",
    "passed",
    "port",
    "prove",
    "sealed",
    "service",
    "undecided",
]

_HOMES = {
    "Booted": "places",
    "Check": "checking",
    "Finding": "checking",
    "Judgement": "checking",
    "Place": "places",
    "Proof": "proving",
    "Ran": "places",
    "Root": "places",
    "Runner": "places",
    "Target": "places",
    "Text": "texts",
    "command": "commands",
    "contained": "containing",
    "decode": "codec",
    "digest_of_check": "checking",
    "digest_of_checks": "proving",
    "encode": "codec",
    "failed": "checking",
    "file": "files",
    "goss": "gossfiles",
    "goss_program": "gossfiles",
    "host_tests": "testinfra",
    "http": "network",
    "judge_proof": "gate",
    "package": "packages",
    "passed": "checking",
    "port": "network",
    "prove": "proving",
    "sealed": "sealing",
    "service": "services",
    "undecided": "checking",
}


def __getattr__(name: str) -> object:
    """Load a public name when it is first used (PEP 562): few checks are used at once."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Return the public names, loaded or not."""
    return sorted(__all__)
