"""Proof before use: checks of an image's unbooted root and of a booted instance.

`prove` judges an image by checks and returns a `Proof`, a value that is kept beside the
image; `judge_proof` says whether it may be deployed by it.
"""

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
from immutable.images.proof.network import http, port
from immutable.images.proof.packages import package
from immutable.images.proof.places import Booted, Place, Ran, Root, Runner, Target
from immutable.images.proof.proving import Proof, digest_of_checks, prove
from immutable.images.proof.sealing import Sealed, sealed
from immutable.images.proof.services import service
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
    "Sealed",
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
