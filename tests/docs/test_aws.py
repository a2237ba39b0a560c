"""Every Python example in the pages on AWS runs, page by page, on an emulated AWS."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

# at the end: the library is tested as it is installed, the emulator lies only here
sys.path.append(str(Path(__file__).parents[2]))

from emulators import aws
from emulators.aws.account import REGION, Account, settings

ROOT = Path(__file__).parents[2]
TUTORIAL = ROOT / "docs" / "tutorial" / "deploy-to-aws.md"
PAGES = sorted((ROOT / "docs" / "howto").glob("aws-*.md"))
_OTHERS = ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION")
FIRST, SECOND = "ami-0aaaaaaaaaaaaaaaa", "ami-0bbbbbbbbbbbbbbbb"


@pytest.fixture(scope="module")
def emulated() -> Iterator[aws.Emulator]:
    """Run one emulator for all pages."""
    with aws.start() as emulator:
        yield emulator


@pytest.fixture
def emulator(emulated, monkeypatch, tmp_path) -> Iterator[aws.Emulator]:
    """Return the emulator, empty, as what the SDK's own settings name."""
    emulated.reset()
    monkeypatch.chdir(tmp_path)
    for name in _OTHERS:
        monkeypatch.delenv(name, raising=False)
    for name, value in settings(emulated.url).items():
        monkeypatch.setenv(name, value)
    yield emulated
    # an SDK that was given these settings keeps them as long as its default session
    boto3.DEFAULT_SESSION = None
    assert emulated.bugs() == ()


def test_the_tutorial_runs_on_an_empty_account(emulator):
    """From a network to two releases and back, and nothing of it is left."""
    network = emulator.network.rpartition(".0.0")[0]
    ports = {"Port=80,": "Port=8000,", '"shop-web", 80,': '"shop-web", 8000,'}
    adapted = {"10.20.": f"{network}.", **ports, "drain=10s": "drain=1s"}
    names = run(TUTORIAL, images(emulator) | adapted)
    assert names["back"].release.number == 1
    session = boto3.Session(region_name=REGION)
    ec2, scaling = session.client("ec2"), session.client("autoscaling")
    owned = [{"Name": "tag-key", "Values": ["immutable-service"]}]
    assert not ec2.describe_launch_templates()["LaunchTemplates"]
    assert not scaling.describe_auto_scaling_groups()["AutoScalingGroups"]
    assert not session.client("elbv2").describe_target_groups()["TargetGroups"]
    left = ec2.describe_instances(Filters=owned)["Reservations"]
    states = {row["State"]["Name"] for each in left for row in each["Instances"]}
    assert states <= {"terminated"}
    assert not [v for v in ec2.describe_vpcs()["Vpcs"] if v["VpcId"] == names["vpc"]]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_of_a_page_run(page, emulator):
    """A page's examples are one program, in an account with a load balancer."""
    account = Account.make(emulator)
    told = {
        'backend="aws://eu-west-1"': 'backend="aws://eu-west-1?load_balancer=given"',
        "arn:aws:acm:eu-west-1:123456789012:certificate/your-own": certificate(),
        "Port=443,": "Port=8443,",
        "listen=443": "listen=8443",
    }
    run(page, images(emulator, account) | told)


def certificate() -> str:
    """Return a certificate that the account has."""
    acm = boto3.Session(region_name=REGION).client("acm")
    found = acm.request_certificate(DomainName="shop.example.com")
    return str(found["CertificateArn"])


def images(emulator: aws.Emulator, account: Account | None = None) -> dict[str, str]:
    """Make the images that pages speak of, and say what to call them."""
    ec2 = boto3.Session(region_name=REGION).client("ec2")
    found = {}
    for number, name in enumerate((FIRST, SECOND), start=1):
        made = (
            account.image(f"release=v{number}")
            if account
            else ec2.register_image(Name=f"image-{number}")["ImageId"]
        )
        emulator.behave(made, f"release=v{number}")
        ec2.get_waiter("image_available").wait(ImageIds=[made])
        found[name] = made
    return found


def run(page: Path, adapted: dict[str, str]) -> dict[str, object]:
    """Run a page as one program, with what is this test's own, and return its names."""
    text = page.read_text(encoding="utf-8")
    for theirs, ours in adapted.items():
        text = text.replace(theirs, ours)
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert examples
    names: dict[str, object] = {}
    for example in examples:
        exec(compile(example, str(page), "exec"), names)  # noqa: S102 - our own pages
    return names
