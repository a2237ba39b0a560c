"""One emulated AWS for all tests of this folder, empty again for each of them."""

import sys
from pathlib import Path

import pytest

# at the end: where wheels are installed, theirs are the packages that are tested
sys.path.append(str(Path(__file__).parents[2]))

from emulators import aws
from emulators.aws.account import Account


@pytest.fixture(scope="session")
def process():
    """Start the emulator, once."""
    with aws.start() as emulator:
        yield emulator


@pytest.fixture
def emulator(process):
    """Give the emulator as after its start; a test in which it went wrong has failed."""
    process.reset()
    yield process
    assert not process.bugs()


@pytest.fixture
def account(emulator):
    """Give an account with a network, and a load balancer in it."""
    return Account.make(emulator)


@pytest.fixture
def refused():
    """Return what says the code with which a call was refused."""
    from botocore.exceptions import ClientError

    def code(call, **params):
        with pytest.raises(ClientError) as caught:
            call(**params)
        return caught.value.response["Error"]["Code"]

    return code
