"""Clients race for a switch; one order has to explain all that they were told."""

from proofs.linearize.map_model import Map, Prepare, Restart, haproxy_map
from proofs.linearize.program import main, run_kind
from proofs.linearize.racing import run_haproxy
from proofs.linearize.simulating import simulated
from proofs.linearize.tally import Tally

__all__ = [
    "Map",
    "Prepare",
    "Restart",
    "Tally",
    "haproxy_map",
    "main",
    "run_haproxy",
    "run_kind",
    "simulated",
]
