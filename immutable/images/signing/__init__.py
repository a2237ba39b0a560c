"""Signed provenance: who says how an image came to be, and whether to believe it.

A `Statement` binds an image's id and digest to its `Provenance`. A `Signer` puts it into
a document, `verify` gives it back, or refuses. Needs the extra ``sign``:
``pip install "immutable-deploy[sign]"``; identities instead of keys need ``sigstore``.
"""

from immutable.images.signing.keyless import KeylessSigner, KeylessVerifier
from immutable.images.signing.keys import KeySigner, KeyVerifier, local_signer
from immutable.images.signing.policy import Policy, Signer, Verifier
from immutable.images.signing.provenance import Provenance, Resource, provenance_of
from immutable.images.signing.statement import Statement
from immutable.images.signing.verifying import verify

__all__ = [
    "KeySigner",
    "KeyVerifier",
    "KeylessSigner",
    "KeylessVerifier",
    "Policy",
    "Provenance",
    "Resource",
    "Signer",
    "Statement",
    "Verifier",
    "local_signer",
    "provenance_of",
    "verify",
]
