"""Validators judge a fleet: passed, failed or undecided, with evidence.

`http` and `tcp` make the usual ones; any callable that takes a `immutable.judging.Target`
and returns a verdict or a bool is one too.
"""

from immutable.validators.http import http
from immutable.validators.tcp import tcp

__all__ = ["http", "tcp"]
