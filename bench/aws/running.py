"""Running contenders against one emulator, and counting at its server what they call."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs

from bench.aws.job import Cost, Job
from bench.figures import CannotMeasure
from emulators.aws.account import REGION, Account, settings
from emulators.aws.handle import Calls, Emulator

BOOT_S = 3
"""From launching to a running machine."""
LISTENS_S = 2
"""From then until its application listens; two probes, a second apart, are to pass."""
SCALE = 0.2
_FIRST, _SECOND = "release=v1 boot=0.1", f"release=v2 boot={BOOT_S} slow={LISTENS_S}"
_OTHERS = ("AWS_PROFILE", "AWS_DEFAULT_REGION")
_CHANGES = "elbv2:Create"
_CHECKS = frozenset(
    {
        "autoscaling:DescribeAccountLimits",
        "ec2:DescribeImages",
        "ec2:DescribeInstanceTypes",
        "ec2:DescribeSecurityGroups",
        "ec2:DescribeSubnets",
        "ec2:RunInstances",
        "elbv2:DescribeAccountLimits",
        "elbv2:DescribeListeners",
        "iam:SimulatePrincipalPolicy",
        "service-quotas:GetServiceQuota",
        "sts:GetCallerIdentity",
    }
)
"""Only asked for by checks before a deployment; RunInstances is a dry run."""
_COUNTED_BEFORE = "ec2:DescribeInstances"
"""Asked for by a check, too: the one before anything is changed is for the quota."""
_NEEDED_ONCE = "elbv2:DescribeLoadBalancers"
"""Asked for by two checks, of which the work uses one answer, and would have to ask."""
_EVIDENCE = ("logs:", "ec2:GetConsoleOutput")


@attrs.frozen(kw_only=True)
class Ground:
    """An emulator with an account that has nothing but what is given to a deployer."""

    emulator: Emulator
    folder: Path

    @contextmanager
    def account(self) -> Iterator[Account]:
        """Begin anew, and refuse to have measured what the emulator got wrong."""
        self.emulator.reset()
        yield Account.make(self.emulator)
        if bugs := self.emulator.bugs():
            raise CannotMeasure(f"the emulator went wrong: {bugs[0]}")

    def job(self, account: Account, *, size: int) -> Job:
        """Return the first deployment of two."""
        handle, ledger = tempfile.mkstemp(suffix=".db", dir=self.folder)
        os.close(handle)
        Path(ledger).unlink()
        return Job(
            image=account.image(_FIRST),
            size=size,
            listener=account.listener,
            subnets=account.subnets,
            vpc=account.vpc,
            ledger=f"sqlite:///{ledger}",
        )

    def second(self, account: Account, first: Job) -> Job:
        """Return the deployment that is measured: of a release in the other's place."""
        image = account.image(_SECOND)
        return attrs.evolve(first, image=image, old=first.new, new="bench-2")

    def measured(self, command: Sequence[str], *, checks: bool = False) -> Cost:
        """Run a program to its end, and return what it took.

        Args:
            command: the program, with its arguments.
            checks: it checks beforehand, and keeps evidence: that is told apart.

        Raises:
            CannotMeasure: it failed.
        """
        self.emulator.calls(clear=True)
        began = time.monotonic()
        cpu_s = self.run(command)
        wall_s = time.monotonic() - began
        calls = self.emulator.calls()
        work, beside = divided(calls) if checks else (calls.counts, {})
        return Cost(counts=work, beside=beside, wall_s=wall_s, cpu_s=cpu_s)

    def run(self, command: Sequence[str]) -> float:
        """Run a program to its end, and return its CPU time in seconds.

        Raises:
            CannotMeasure: it failed.
        """
        env = {k: v for k, v in os.environ.items() if k not in _OTHERS}
        env |= {**settings(self.emulator.url), "AWS_REGION": REGION}
        with tempfile.TemporaryFile("w+", encoding="utf-8") as said:
            process = subprocess.Popen(command, env=env, stdout=said, stderr=said)
            # wait4 alone tells of one child; what it started and waited for is in it
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            said.seek(0)
            if process.returncode:
                raise CannotMeasure(f"{command[0]} failed: {said.read()[-3000:]}")
        return usage.ru_utime + usage.ru_stime


def program(module: str, job: Job) -> tuple[str, ...]:
    """Return the command of a contender that is a module here."""
    return (sys.executable, "-m", module, job.spell())


def playbook(job: Job, account: Account) -> tuple[str, ...]:
    """Return Ansible's command.

    Raises:
        CannotMeasure: it is not installed.
    """
    ansible = Path(sys.executable).with_name("ansible-playbook")
    ansible = Path(os.environ.get("BENCH_ANSIBLE", ansible))
    if not ansible.exists():
        raise CannotMeasure("Ansible is not installed beside this Python")
    told = {
        "ansible_python_interpreter": str(ansible.with_name("python")),
        "ansible_connection": "local",
        "balancer": "given",
        "drain": job.drain_s,
        "image": job.image,
        "new": job.new,
        "old": job.old,
        "listens": 8000,
        "security_groups": _guarded(account),
        "size": job.size,
        "subnets": job.subnets,
        "tests": 8001,
        "vpc": account.vpc,
    }
    path = Path(__file__).with_name("playbook.yml")
    return (str(ansible), "-i", "localhost,", "-e", json.dumps(told), str(path))


def divided(calls: Calls) -> tuple[Mapping[str, int], Mapping[str, int]]:
    """Return calls by operation: of the work, and of checks and evidence beside it."""
    work: Counter[str] = Counter()
    beside: Counter[str] = Counter()
    changed = False
    for call in calls.trace:
        name = str(call["name"])
        changed = changed or name.startswith(_CHANGES)
        is_first = name == _NEEDED_ONCE and not work[name]
        before = (
            name in {_COUNTED_BEFORE, _NEEDED_ONCE} and not changed and not is_first
        )
        is_beside = name in _CHECKS or before or name.startswith(_EVIDENCE)
        (beside if is_beside else work)[name] += 1
    return +work, beside


def _guarded(account: Account) -> list[str]:
    """Give the load balancer the network's own security group: the module wants one."""
    rows = account.ec2.describe_security_groups(
        Filters=[{"Name": "vpc-id", "Values": [account.vpc]}]
    )["SecurityGroups"]
    groups = [row["GroupId"] for row in rows]
    account.elbv2.set_security_groups(
        LoadBalancerArn=account.load_balancer, SecurityGroups=groups
    )
    return groups
