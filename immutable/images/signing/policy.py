"""Who has to have signed an image's provenance, and the two sides of signing."""

import re
from typing import Protocol

import attrs

from immutable.errors import InvalidInput
from immutable.images.signing.statement import Statement

_KEY = re.compile(r"ed25519:[0-9a-f]{64}")
_ISSUER = re.compile(r"https://[^\s*]+")
_IDENTITY = re.compile(r"[^\s*]+")


@attrs.frozen(kw_only=True)
class Policy:
    """Exactly one signer: a key, or somebody whom a named issuer vouches for.

    A half-specified policy is refused when it is made: one that leaves the issuer open
    would accept anybody who can get that name from any issuer. Nothing is matched by a
    pattern.

    >>> Policy(identity="ci@example.com", issuer="https://accounts.example.com").is_key
    False
    """

    identity: str
    """``ed25519:`` and the public key in hexadecimal; or an e-mail address or URI."""
    issuer: str = ""
    """Who vouches for an identity that is no key: the URL of an OpenID provider."""

    def __attrs_post_init__(self) -> None:
        if not self.identity or not _IDENTITY.fullmatch(self.identity):
            raise _refused(self, "the identity", "name the signer exactly")
        if self.identity.startswith("ed25519:"):
            if self.issuer:
                raise _refused(self, "the issuer", "a key needs none: leave it out")
            if not self.is_key:
                raise _refused(self, "the key", "write 64 hexadecimal digits")
        elif not _ISSUER.fullmatch(self.issuer):
            raise _refused(self, "the issuer", "name it exactly, as an https:// URL")

    @property
    def is_key(self) -> bool:
        """Return whether the signer is a key, and no issuer is asked."""
        return _KEY.fullmatch(self.identity) is not None


class Signer(Protocol):
    """Signs statements as one identity."""

    @property
    def policy(self) -> Policy:
        """Return the policy that what this signs will satisfy."""
        ...

    def sign(self, statement: Statement) -> bytes:
        """Return a document that holds the statement and a signature over all of it."""
        ...


class Verifier(Protocol):
    """Verifies documents of one kind."""

    def payload(self, document: bytes, policy: Policy) -> bytes:
        """Return the statement in a document, every byte of it signed by the policy's.

        Raises:
            VerificationFailed: it was not, or something else is signed, or nothing.
            Unavailable: what is needed to tell cannot be reached; never a pass.
        """
        ...


def _refused(policy: Policy, what: str, hint: str) -> InvalidInput:
    return InvalidInput(f"{what} of {policy} cannot be verified", hint=hint)
