"""Deleting a target group right after what named it: AWS calls it in use for a while.

"There is some eventual consistency at play here, so we may need to try a couple times before
the listener rule is officially deleted" (a maintainer of the load balancer controller of AWS:
kubernetes-sigs/aws-load-balancer-controller, issue 4848). Terraform repeats a DeleteTargetGroup
that is refused as `ResourceInUse` for two minutes (hashicorp/terraform-provider-aws,
internal/service/elbv2/target_group.go). A refusal is therefore believed at once only where
something is seen that names the group.
"""

from collections.abc import Callable
from datetime import timedelta

from immutable import host
from immutable.errors import Conflict

PATIENCE = timedelta(seconds=30)
"""So long AWS may call a group in use that nothing names: half of what the engine gives."""
_PAUSE = timedelta(seconds=2)


def part(delete: Callable[[], None], is_named: Callable[[], bool]) -> None:
    """Delete a group that nothing names any more, as soon as AWS agrees.

    Args:
        delete: deletes it once; Conflict where it is in use.
        is_named: looks whether anything names it, apart from what was deleted just now,
            which old readings show still. Asked only after a refusal.

    Raises:
        Conflict: something names it, or it is called in use for longer than `PATIENCE`.
    """
    here = host.current()
    until = here.now() + PATIENCE
    while True:
        try:
            return delete()
        except Conflict:
            if here.now() >= until or is_named():
                raise
        here.sleep(_PAUSE, host.Never())
