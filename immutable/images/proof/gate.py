"""Whether an image may be deployed by what is proven of it."""

from immutable.errors import Refused
from immutable.images.proof.checking import Judgement
from immutable.images.proof.proving import Proof
from immutable.judging import VerdictStatus
from immutable.model import Image

_NAMED = 3


def judge_proof(proof: Proof | None, image: Image, *, demanded: bool) -> Refused | None:
    """Return why an image may not be deployed, or None where it may.

    A proof that failed refuses always; one that is missing, undecided or of another image
    only where the service demands one.

    Args:
        proof: the image's proof, as it was kept; None where there is none.
        image: what is to be deployed.
        demanded: whether the service demands that its images are proven.
    """
    if proof is None:
        return _unproven(image, "is not proven") if demanded else None
    if not proof.covers(image.digest):
        said = f"has a proof of other bytes (digest {proof.digest[:12]}…)"
        return _unproven(image, said) if demanded else None
    if proof.status is VerdictStatus.FAILED:
        return _refused(image, f"failed its proof: {_reasons(proof)}", _REPAIR)
    if demanded and proof.status is not VerdictStatus.PASSED:
        said = f"is proven in part only: {_reasons(proof)}"
        return _refused(image, said, "prove it where all its checks can be judged")
    return None


_REPAIR = "repair the recipe, build again, and prove what comes out"


def _unproven(image: Image, said: str) -> Refused:
    return _refused(
        image, said, "the service demands a proof: prove this image, and keep it"
    )


def _refused(image: Image, said: str, hint: str) -> Refused:
    return Refused(
        f"image {image.id} {said}",
        hint=hint,
        operation="deploy",
        resource=image.id,
        backend=image.backend,
    )


def _reasons(proof: Proof) -> str:
    those = proof.of(proof.status)
    named = "; ".join(map(_reason, those[:_NAMED])) or "no check was made"
    more = len(those) - _NAMED
    return f"{named}; and {more} more" if more > 0 else named


def _reason(judgement: Judgement) -> str:
    return f"{judgement.check} {judgement.verdict.evidence}".strip()
