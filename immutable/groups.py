"""Fleets that their provider heals and scales by itself: what more their backend does.

Auto Scaling groups, managed instance groups and scale sets replace what is dead, scale by
alarms and by the clock, and move instances between zones. While a deployment looks at a
fleet nobody else may change it: evidence must survive, the capacity that was read must stay
true, and what is idle in the bake or kept warm must stay whole. So the engine holds these
back, and lets them go again, by steps that are journalled like every other.

A backend that declares `Capabilities.scales_itself` has these two methods on the same
object as `immutable.protocols.Fleets`, whose `Fleets.launch` then creates fleets frozen.
The clauses are read as in `immutable.protocols`.
"""

from typing import Protocol

from immutable.model import FleetName, Token


class Groups(Protocol):
    """What `Fleets` does besides, where the provider heals and scales by itself.

    A frozen fleet takes ``resize``, ``replace`` and ``retire`` as any other, and stays
    frozen. On one that is not, ``launch`` and ``replace`` leave the provider's desired size
    as it is, and ``resize`` sets it: whom that makes too many, the provider takes off the
    switch and destroys. Size bounds are moved where they forbid a size that is set.
    `FleetView.desired_size` is that size, and `FleetView.frozen` is True or False.
    """

    def freeze(self, fleet: FleetName, *, token: Token) -> None:
        """Keep the provider from changing a fleet by itself.

        Then: it neither replaces nor rebalances instances, and neither alarms nor schedules
        change the size; `observe` says ``frozen``, and the desired size that it says with
        that stays. Policies and schedules themselves are kept.
        Again: the same, whatever happened in between; a fleet that is gone is no error.
        """
        ...

    def thaw(self, fleet: FleetName, *, like: FleetName | None, token: Token) -> None:
        """Let the provider heal and scale a fleet by itself.

        Then: where ``like`` is a fleet that exists, this one has its scaling policies,
        scheduled actions and size bounds, and no others: first that, then the rest; neither
        bound keeps the fleet from its present size, and ``like`` is as it was. `observe`
        says that it is not frozen. An instance that failed a check while the fleet was held,
        and passes it by then, is not destroyed for that.
        Again: the same, whatever happened in between; a fleet that is gone is no error.

        Args:
            fleet: which.
            like: the one that it takes over from; None: its own rules count.
            token: names the mutation.
        """
        ...
