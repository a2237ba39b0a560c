"""A validator that says of each image what the simulation declared of it."""

from immutable.judging import Target, Verdict, VerdictStatus
from immutable.testing.cloud import Cloud


class ImageVerdict:
    """Rejects releases whose image was declared to be rejected, on that route."""

    name = "image verdict"

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def __call__(self, target: Target) -> Verdict:
        """Judge a fleet by its image."""
        behaviour = self._cloud.behaviours.get(target.release.image.id)
        rejected = behaviour.rejected if behaviour else None
        if rejected == ("live" if target.live else "preview"):
            return Verdict(status=VerdictStatus.FAILED, evidence="declared so")
        return Verdict(status=VerdictStatus.PASSED)
