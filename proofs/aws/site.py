"""Where an experiment runs: an emulated AWS with a listener, a ledger, and a service."""

from pathlib import Path

import attrs

import immutable
from emulators.aws.account import REGION, Account
from immutable.host import ThisHost
from immutable.ledger.journal import Journal
from immutable.ledger.sqlite import SqliteStore
from immutable.model import ServiceName

SIZE = 2
PORT = 8080
PROOF = "/proof"
_DRAIN = "200ms"
_READY = "30s"


@attrs.frozen(kw_only=True)
class Site:
    """One service: a value, which is handed to other processes."""

    name: ServiceName
    ledger: Path
    listener: str
    subnets: tuple[str, ...]

    @property
    def backend(self) -> str:
        """Return the backend's URL, for an AWS whose readings are current."""
        subnets = ",".join(self.subnets)
        return f"aws://{REGION}?subnets={subnets}&pace=50ms&staleness=0s&drain={_DRAIN}"

    @property
    def switch(self) -> str:
        """Return the switch's URL."""
        return (
            f"alb://{REGION}?listener={self.listener}&preview_from=127.0.0.0/8"
            f"&staleness=0s&propagation=0s&drain={_DRAIN}"
        )

    def service(self) -> immutable.Service:
        """Describe the service."""
        return immutable.Service(
            self.name,
            backend=self.backend,
            switch=self.switch,
            ledger=f"sqlite:///{self.ledger}",
            size=SIZE,
            ports=PORT,
            health="/health",
            validators=[immutable.http(PROOF)],
            strategy=immutable.BlueGreen(bake="50ms", keep_warm="1h"),
            ready_timeout=_READY,
            drain=_DRAIN,
        )

    def journal(self) -> Journal:
        """Return the service's journal, loaded."""
        journal = Journal(SqliteStore(self.ledger), self.name, ThisHost())
        journal.load()
        return journal


def listen(account: Account, port: int) -> str:
    """Return the ARN of a new listener that answers 503 where no rule says otherwise."""
    made = account.elbv2.create_listener(
        LoadBalancerArn=account.load_balancer,
        Protocol="HTTP",
        Port=port,
        DefaultActions=[
            {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}
        ],
    )
    return made["Listeners"][0]["ListenerArn"]
