"""The data plane that the emulated clouds share: machines that answer, and balancers.

Everything here is real traffic on loopback addresses: a machine is a server of its own,
a load balancer is one that forwards to it, and health is what probing it has shown.
Nothing here knows a provider.
"""
