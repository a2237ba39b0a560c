"""Threads and processes that race for the real HAProxy."""

import itertools
import math
import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import TypeAlias

from immutable.model import Version
from immutable.testing.chances import seeded
from immutable.testing.linearizability import History, Register, check
from proofs.linearize.clients import OPERATIONS, Client
from proofs.linearize.haproxy_site import Site, kill, site
from proofs.linearize.map_model import (
    Map,
    Recorded,
    haproxy_map,
    prepared,
    with_preparations,
)
from proofs.linearize.tally import HAPROXY, Run, Tally

Work: TypeAlias = Callable[[], Recorded]
PATIENCE_S = 120.0


def raced(place: Site, seed: int) -> Run:
    """Return one history of HAProxy."""
    chance = seeded(seed, HAPROXY)
    start, clients = place.switch().read(), chance.randint(2, 5)
    known = start.version
    works = [_work(place, seed, n, clients, known) for n in range(clients)]
    start_all = chance.choice((in_processes, in_threads))
    waiting = start_all(works)
    kills = range(chance.choice((0, 0, 0, 1)))
    killed = tuple(kill(place, chance.random() * 0.3) for _ in kills)
    recorded = (*(one for wait in waiting for one in wait()), *killed)
    start_map = Map(register=Register.holding(start.routing, version=known))
    return Run(
        recorded=recorded,
        judge=lambda: check(recorded, start=start_map, step=haproxy_map),
        kills=len(killed),
    )


def _work(place: Site, seed: int, number: int, clients: int, known: Version) -> Work:
    """Return the whole life of one client, which ends in what it recorded."""
    chance = seeded(seed, f"client-{number}")

    def work() -> Recorded:
        # this clock is one for all processes of a machine
        history = History(clock=time.monotonic)
        client = Client(
            switch=history.recording(place.switch(), process=f"client-{number}"),
            chance=chance,
            known=known,
            numbers=itertools.count(number, clients),
            rest=lambda: time.sleep(chance.random() * 0.002),
        )
        client.live(math.ceil(OPERATIONS / clients))
        return (*with_preparations(history.operations()), *prepared(history.refused()))

    return work


def in_threads(works: Sequence[Work]) -> Sequence[Work]:
    """Begin all works, each in a thread, and return what waits for their results."""
    pool = ThreadPoolExecutor(len(works))
    futures = [pool.submit(work) for work in works]
    pool.shutdown(wait=False)
    return [partial(future.result, PATIENCE_S) for future in futures]


def in_processes(works: Sequence[Work]) -> Sequence[Work]:
    """Begin all works, each in a process, and return what waits for their results."""
    context = multiprocessing.get_context("fork")
    waiting: list[Work] = []
    for work in works:
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_send, args=(theirs, work))
        process.start()
        theirs.close()
        waiting.append(partial(_receive, ours, process))
    return waiting


def _send(pipe: Connection, work: Work) -> None:
    pipe.send(work())


def _receive(pipe: Connection, process: BaseProcess) -> Recorded:
    with pipe:
        if not pipe.poll(PATIENCE_S):
            raise TimeoutError(f"{process.name} did not end within {PATIENCE_S} s")
        result: Recorded = pipe.recv()
    process.join()
    return result


def run_haproxy(seeds: range, deadline: float) -> Tally:
    """Race for one HAProxy, history after history, until all are run or time is up."""
    tally = Tally(kind=HAPROXY, asked=len(seeds))
    if not seeds:
        return tally
    began = time.monotonic()
    with site() as place:
        for seed in seeds:
            if time.monotonic() > deadline:
                break
            tally.count(seed, raced(place, seed))
    tally.seconds = time.monotonic() - began
    return tally
