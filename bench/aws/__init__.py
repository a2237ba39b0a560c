"""Deploying to an emulated AWS: calls, time and CPU, beside Ansible and a bare script."""
