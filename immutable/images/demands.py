"""What a service demands of an image before anything is launched from it."""

from typing import TYPE_CHECKING

import attrs

from immutable.errors import InvalidInput, Refused, VerificationFailed
from immutable.images.finding import recorder
from immutable.model import Image
from immutable.protocols import Backend
from immutable.records import ImageRecords

if TYPE_CHECKING:
    from immutable.images.signing import Policy


@attrs.frozen(kw_only=True)
class Demands:
    """A passed proof, or a signed provenance, or both, or neither."""

    proven: bool = False
    signed_by: "Policy | None" = None

    def concern(self, backend: Backend) -> bool:
        """Return whether there is anything to ask of a backend."""
        demanded = self.proven or self.signed_by is not None
        return demanded or backend.capabilities.keeps_records

    def check(self, image: Image, backend: Backend) -> None:
        """Refuse an image of which something is demanded that is not there.

        A proof that failed refuses always, whoever demands what.

        Raises:
            Refused: its proof failed, or something is demanded and missing.
        """
        try:
            self._check(image, recorder(backend))
        except (InvalidInput, VerificationFailed) as exc:
            raise Refused(
                f"image {image.id} is not what the service demands: {exc.message}",
                hint=exc.hint,
                resource=image.id,
                backend=backend.name,
            ) from exc

    def _check(self, image: Image, records: ImageRecords) -> None:
        kept = records.kept(image.id, "proof.json")
        if kept is not None or self.proven:
            self._check_proof(image, kept)
        if self.signed_by is not None:
            # imported on first use, as the proofs are: most deployments need neither
            from immutable.images.signing import verify

            document = records.kept(image.id, "provenance.dsse.json")
            verify(document, self.signed_by, image.digest, image=image.id)

    def _check_proof(self, image: Image, kept: bytes | None) -> None:
        from immutable.images.proof import decode, judge_proof

        proof = None if kept is None else decode(kept)
        if refused := judge_proof(proof, image, demanded=self.proven):
            raise refused
