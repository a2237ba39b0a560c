"""Signing with a key of one's own: ed25519, kept in a file that only its owner reads.

The library `cryptography` is used directly: this needs two of its calls, and deciding
what is refused is ours. DSSE's own library stops at the first good signature.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from immutable.errors import InvalidInput, Unsupported, VerificationFailed
from immutable.images.signing import keyfile
from immutable.images.signing.envelope import PAYLOAD_TYPE, Envelope, Signature, pae
from immutable.images.signing.policy import Policy
from immutable.images.signing.statement import Statement

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ed25519

_PREFIX = "ed25519:"


def local_signer(path: Path | None = None) -> "KeySigner":
    """Return a signer with a key of this user's, which is made on first use.

    Two that need it first at the same time get the same one.

    Args:
        path: the file of the key, PKCS #8 in PEM; the user's own unless given.

    Raises:
        InvalidInput: it is no key of ours, or others can read or write it.
        PermissionDenied: the operating system refuses.
        NotEnough: its disk is full.
        Unsupported: the extra ``sign`` is not installed.
    """
    place = keyfile.default_key_path() if path is None else path
    _require()
    return KeySigner(_loaded(keyfile.load_or_make(place, _new), place))


@attrs.frozen
class KeySigner:
    """Signs with one private key, which no repr shows."""

    _key: "ed25519.Ed25519PrivateKey" = attrs.field(repr=False)

    @property
    def policy(self) -> Policy:
        """Return the policy that what this signs will satisfy: this key."""
        public = self._key.public_key().public_bytes_raw()
        return Policy(identity=f"{_PREFIX}{public.hex()}")

    def sign(self, statement: Statement) -> bytes:
        """Return a DSSE envelope with one signature."""
        payload = statement.to_bytes()
        value = self._key.sign(pae(PAYLOAD_TYPE, payload))
        signature = Signature(key_id=self.policy.identity, value=value)
        return Envelope(payload=payload, signatures=(signature,)).to_bytes()


@attrs.frozen
class KeyVerifier:
    """Verifies DSSE envelopes by the key that the policy names, and by no other."""

    def payload(self, document: bytes, policy: Policy) -> bytes:
        """Return what the policy's key has signed.

        There has to be exactly one signature: DSSE would pass over others, which nobody
        has judged then. Separate envelopes say the same.

        Raises:
            VerificationFailed: it is altered, of another type, or signed by another key.
            Unsupported: the extra ``sign`` is not installed.
        """
        envelope = Envelope.from_bytes(document)
        if envelope.payload_type != PAYLOAD_TYPE:
            raise _refused(f"it holds {envelope.payload_type!r:.80}, no statement")
        if len(envelope.signatures) != 1:
            raise _refused(f"it has {len(envelope.signatures)} signatures, not one")
        signature = envelope.signatures[0]
        if signature.key_id != policy.identity:
            raise _refused(f"it names the key {signature.key_id!r:.80}")
        _check(policy, signature.value, pae(envelope.payload_type, envelope.payload))
        return envelope.payload


def _check(policy: Policy, signature: bytes, signed: bytes) -> None:
    _require()
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ed25519

    # The key is the identity itself: no file or server decides which one is meant.
    public = bytes.fromhex(policy.identity.removeprefix(_PREFIX))
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(public).verify(signature, signed)
    except InvalidSignature as exc:
        raise _refused("the signature is not by the key that it has to be by") from exc


def _loaded(pem: bytes, place: Path) -> "ed25519.Ed25519PrivateKey":
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as exc:
        hint = "move it away to have a new one made; old signatures need the old one"
        raise InvalidInput(
            f"{place} holds no key without a password", hint=hint
        ) from exc
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise InvalidInput(f"the key in {place} is no ed25519 key", hint="name another")
    return key


def _new() -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ed25519

    return ed25519.Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _require() -> None:
    try:
        import cryptography  # noqa: F401 - whether it can be imported is what is asked
    except ImportError as exc:
        hint = "run: pip install 'immutable-deploy[sign]'"
        raise Unsupported(
            "signatures need the package cryptography", hint=hint
        ) from exc


def _refused(why: str) -> VerificationFailed:
    return VerificationFailed(
        f"the provenance is refused: {why}",
        hint="sign it with the key that the policy names, or name the key that signed it",
    )
