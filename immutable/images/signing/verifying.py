"""Whether a document proves how exactly this image came to be."""

import re

from immutable.errors import InvalidInput, VerificationFailed
from immutable.images.signing.keyless import KeylessVerifier
from immutable.images.signing.keys import KeyVerifier
from immutable.images.signing.policy import Policy, Verifier
from immutable.images.signing.provenance import PREDICATE
from immutable.images.signing.statement import Statement
from immutable.model import Digest, ImageId

_DIGEST = re.compile("[0-9a-f]{64}")


def verify(
    document: bytes | None,
    policy: Policy | None,
    digest: Digest,
    *,
    image: ImageId | None = None,
    predicate_type: str = PREDICATE,
    verifier: Verifier | None = None,
) -> Statement:
    """Return the statement about an image, if exactly the policy's signer has signed it.

    Args:
        document: what `Signer.sign` returned; None where nothing is kept.
        policy: who has to have signed it.
        digest: the digest of the image that is about to be used.
        image: its id; a provider that shows no digest is held to this one.
        predicate_type: what the statement has to be; provenance unless given.
        verifier: how to verify; chosen by the policy unless given.

    Raises:
        VerificationFailed: the document is missing, altered, signed by somebody else, or
            about another image.
        InvalidInput: the policy or the digest is missing: half a question.
        Unavailable: what is needed to tell cannot be reached; never a pass.
        Unsupported: the extra that this needs is not installed.
    """
    if policy is None or not _DIGEST.fullmatch(digest):
        hint = "give a policy, and the SHA-256 of the image"
        raise InvalidInput("there is nothing to verify against", hint=hint)
    if document is None:
        raise _unsigned(image)
    chosen = verifier or (KeyVerifier() if policy.is_key else KeylessVerifier())
    statement = Statement.from_bytes(chosen.payload(document, policy))
    if statement.predicate_type != predicate_type:
        raise _other("kind", statement.predicate_type, predicate_type)
    if statement.digest != digest:
        raise _other("digest", statement.digest, digest)
    if image is not None and statement.image != image:
        raise _other("id", statement.image, image)
    return statement


def _unsigned(image: ImageId | None) -> VerificationFailed:
    which = f"image {image}" if image else "the image"
    hint = "sign it: attest(), with the key that the policy names"
    return VerificationFailed(f"{which} has no signed provenance", hint=hint)


def _other(what: str, found: str, expected: str) -> VerificationFailed:
    return VerificationFailed(
        f"what is signed is about another image: its {what} is {found!r:.80}"
        f" and not {expected!r:.80}",
        hint="use the image that was signed, or sign this one",
    )
