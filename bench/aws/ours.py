"""Ours: a deployment by the library, in a process of its own.

It takes for granted how slow AWS may be as it always does: seconds that the others do not
wait for, before the old fleet is cleared away.

    python -m bench.aws.ours JOB
"""

import sys

import immutable
from bench.aws.job import Job
from immutable.strategies import BlueGreen


def deploy(job: Job) -> None:
    """Deploy, and retire what served before within the same call.

    Raises:
        SystemExit: it did not become live.
    """
    done = immutable.deploy(service(job), job.image, size=job.size)
    if not done.is_live:
        sys.exit(f"{done.outcome}: {done.error}")


def service(job: Job) -> immutable.Service:
    """Return the service of a job."""
    drain = f"drain={job.drain_s}s"
    return immutable.Service(
        "given",
        backend=f"aws://{job.region}?{drain}",
        switch=f"alb://{job.region}?listener={job.listener}&{drain}",
        ports=8080,
        health="/health",
        size=job.size,
        ledger=job.ledger,
        drain=f"{job.drain_s}s",
        strategy=BlueGreen(bake="0s", keep_warm="0s"),
    )


if __name__ == "__main__":
    deploy(Job.parse(sys.argv[1]))
