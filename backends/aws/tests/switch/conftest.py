"""A load balancer with one listener, and switches of it."""

import pytest
from ground import prepared
from switching import DEFAULTS, SERVICE

from immutable.urls import Url
from immutable_aws.switch import open_switch


@pytest.fixture
def account(emulator, monkeypatch):
    """Return an account with a load balancer and one listener."""
    return prepared(emulator, monkeypatch)


@pytest.fixture
def switch(account):
    """Return what opens switches of that listener."""

    def opened(options="", service=SERVICE):
        given = dict(pair.split("=", 1) for pair in options.split("&") if pair)
        told = {"listener": account.listener} | DEFAULTS | given
        words = "&".join(f"{name}={value}" for name, value in told.items())
        url = f"alb://{account.region}?{words}"
        return open_switch(Url.parse(url), service=service, port=8080)

    return opened
