"""Tests written for pytest-testinfra, run by pytest with the image as their host."""

from immutable.images.proof.testinfra.check import HostTests, host_tests

__all__ = ["HostTests", "host_tests"]
