import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

# At the end: the package itself is tested as it is installed, not as it lies here.
sys.path.append(str(Path(__file__).parents[2]))

from bench.figures import Figure, Target, Unmeasured, alone, compared, counted
from bench.histories import SERVICE, STREAM, write_history
from bench.judging import Flip, judge, percentile
from bench.load import compile_client, traffic
from bench.orchestration import reads
from bench.report import to_json, to_table
from bench.sampling import take_turns
from immutable.host import ThisHost
from immutable.ledger.journal import SNAPSHOT_EVERY, Journal
from immutable.ledger.sqlite import SqliteStore
from immutable.model import Endpoint

FLIPS = (
    Flip(began_ns=0, acknowledged_ns=0, release=1),
    Flip(began_ns=100, acknowledged_ns=110, release=2),
    Flip(began_ns=200, acknowledged_ns=210, release=1),
)


@pytest.mark.parametrize(
    ("sent", "received", "release", "fault"),
    [
        (10, 20, 1, ""),
        (10, 99, 2, "wrong"),
        (10, 100, 2, ""),
        (105, 150, 1, ""),
        (105, 150, 2, ""),
        (109, 150, 1, ""),
        (110, 150, 1, "stale"),
        (110, 150, 2, ""),
        (150, 199, 1, "stale"),
        (150, 200, 1, ""),
        (210, 900, 2, "stale"),
        (210, 900, 3, "wrong"),
        (90, 250, 3, "wrong"),
    ],
)
def test_judges_by_what_was_routed(
    sent: int, received: int, release: int, fault: str
) -> None:
    """Only releases that were routed between sending and answering may answer."""
    found = judge([(sent, sent, received, release, 200)], FLIPS)
    assert (found.stale, found.wrong) == (fault == "stale", fault == "wrong")
    assert (found.failed, found.total) == (0, 1)


@pytest.mark.parametrize("status", [0, 404, 500, 503])
def test_anything_but_200_has_failed(status: int) -> None:
    """An answer with another status is a failure and has no latency."""
    found = judge([(1, 1, 2, 1, status)], FLIPS)
    assert (found.failed, found.total, found.latencies_s) == (1, 1, ())


@given(st.lists(st.integers(), min_size=1), st.floats(0, 100))
def test_percentile_is_a_sample(samples: list[int], percent: float) -> None:
    """A percentile is the first sample that at least so many do not exceed."""
    found = percentile(sorted(samples), percent)
    assert sum(s <= found for s in samples) >= len(samples) * percent / 100
    assert sum(s < found for s in samples) <= len(samples) * percent / 100


def test_ratio_is_of_turns() -> None:
    """The ratio is the median of the turns' ratios, not the ratio of the medians."""
    figure = compared(
        "x", "ms", [0.001, 0.004, 0.010], [0.001, 0.001, 0.020], beside="y"
    )
    assert (figure.value, figure.beside_value, figure.ratio) == (4, 1, 1)
    assert figure.name == "x_ms"


@pytest.mark.parametrize(
    ("target", "met"),
    [
        (Target(limit=5), True),
        (Target(limit=3), False),
        (Target(limit=4, at_least=True), True),
        (Target(limit=5, at_least=True), False),
        (Target(limit=1, on="ratio"), False),
    ],
)
def test_targets(target: Target, *, met: bool) -> None:
    """A figure says whether its target is met; a missing ratio does not meet one."""
    assert counted("x", 4, target=target).met is met


def test_only_required_targets_fail_a_run() -> None:
    """Ratios are shown and never decide the exit status."""
    assert not counted("x", 4, target=Target(limit=3)).is_fatal
    assert counted("x", 4, target=Target(limit=3, required=True)).is_fatal


def test_takes_turns() -> None:
    """Acts alternate, and each keeps its own samples in order."""
    called: list[str] = []

    def act(name: str) -> float:
        called.append(name)
        return len(called)

    assert take_turns(2, lambda: act("a"), lambda: act("b")) == ([1, 3], [2, 4])
    assert called == ["a", "b", "a", "b"]


def test_reports_what_was_not_measured() -> None:
    """JSON and table hold every figure, and say what is missing and why."""
    rows: list[Figure | Unmeasured] = [
        alone("one", "ms", [0.001]),
        Unmeasured(name="two", why="no root"),
    ]
    document = json.loads(to_json(rows, {}))
    assert document["figures"][0]["name"] == "one_ms"
    assert document["not_measured"][0]["why"] == "no root"
    assert "two: not measured: no root" in to_table(rows)


@pytest.mark.parametrize("size", [10, 3000])
def test_histories_are_what_the_journal_writes(tmp_path: Path, size: int) -> None:
    """A made history is read, counted and continued as one that was lived through."""
    path = tmp_path / "ledger.db"
    count = write_history(path, size)
    journal = Journal(SqliteStore(path), SERVICE, ThisHost())
    state = journal.load()
    assert size <= count <= size + SNAPSHOT_EVERY
    assert state.sequence == count
    assert state.sequence - state.snapshot <= SNAPSHOT_EVERY
    records = list(journal.history())
    assert [record.sequence for record in records] == list(range(1, count + 1))
    assert SqliteStore(path).last(STREAM) is not None


def test_a_large_fleet_is_read_as_often_as_a_small_one() -> None:
    """What the provider and the switch are asked does not grow with the instances."""
    assert reads(100) == reads(2) > 0


class _Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 65536

    def do_GET(self) -> None:
        """Answer with release 7, and now and then with a failure."""
        self.server.count += 1  # type: ignore[attr-defined]
        failing = self.server.count % 10 == 0  # type: ignore[attr-defined]
        self.send_response(500 if failing else 200)
        self.send_header("X-Release", "7")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    """Run a server."""
    made = ThreadingHTTPServer(("127.0.0.1", 0), _Answering)
    made.daemon_threads = True
    made.count = 0  # type: ignore[attr-defined]
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.mark.parametrize("is_kept", [True, False])
def test_client_records_every_request(
    tmp_path: Path, server: ThreadingHTTPServer, *, is_kept: bool
) -> None:
    """The client's records hold release, status and times of all requests."""
    endpoint = Endpoint(host="127.0.0.1", port=server.server_port)
    program = compile_client(tmp_path)
    with traffic(program, endpoint, connections=4, is_kept=is_kept, tick=25) as client:
        client.wait_for_tick()
        client.wait_for_tick()
        seen = client.end()
    answers = list(seen.answers())
    assert len(answers) >= 50
    assert len(answers) == server.count  # type: ignore[attr-defined]
    assert {(a[3], a[4]) for a in answers} == {(7, 200), (7, 500)}
    assert all(began <= sent <= received for began, sent, received, *_ in answers)
    found = judge(answers, [Flip(began_ns=0, acknowledged_ns=0, release=7)])
    assert found.failed == len(answers) // 10
    assert (found.stale, found.wrong) == (0, 0)


def test_client_counts_refused_connections(tmp_path: Path) -> None:
    """A request that nobody answers is a record with status 0, never left out."""
    program = compile_client(tmp_path)
    refused = Endpoint(host="127.0.0.1", port=1)
    with traffic(program, refused, connections=1, is_kept=True, tick=10) as client:
        client.wait_for_tick()
        found = judge(client.end().answers(), FLIPS)
    assert found.failed == found.total >= 10


@pytest.mark.parametrize("name", ["client.c", "app/server.c"])
def test_compiles_without_a_warning(name: str) -> None:
    """The programs in C are clean by the compiler's own judgement."""
    warnings = ["-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
    source = Path(__file__).parents[2] / "bench" / name
    subprocess.run(["cc", *warnings, str(source)], check=True)
