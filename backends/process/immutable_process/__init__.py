"""Local processes as a backend of `immutable`: no root, no virtual machines."""

from immutable_process.backend import ProcessBackend, open_backend

__all__ = ["ProcessBackend", "open_backend"]
