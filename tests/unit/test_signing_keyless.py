"""Signing by sigstore: what its adapter refuses, and that it asks for exact names.

The public services cannot be reached from a test. Bundles here are well formed, with a
certificate of our own making; the library's verifier refuses it, as it should.
"""

import base64
import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sigstore.models import Bundle
from sigstore.verify import Verifier as Sigstore
from sigstore.verify.policy import VerificationPolicy

from immutable.errors import InvalidInput, Unavailable, Unsupported, VerificationFailed
from immutable.images.signing import (
    KeylessSigner,
    KeylessVerifier,
    Policy,
    Statement,
    verify,
)
from immutable.images.signing.envelope import PAYLOAD_TYPE
from immutable.model import Digest, ImageId

WHO, ISSUER = "ci@example.com", "https://accounts.example.com"
POLICY = Policy(identity=WHO, issuer=ISSUER)
DIGEST = Digest("ab" * 32)
STATEMENT = Statement(
    image=ImageId("shop-1"), digest=DIGEST, predicate_type="urn:x", predicate="{}"
)
# Where Fulcio writes the issuer: github.com/sigstore/fulcio/blob/main/docs/oid-info.md
ISSUER_OID = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")


def certificate() -> bytes:
    """Return a certificate for our names, signed by nobody else."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.RFC822Name(WHO)])
    issuer = x509.UnrecognizedExtension(ISSUER_OID, ISSUER.encode())
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(minutes=9))
        .add_extension(names, critical=True)
        .add_extension(issuer, critical=False)
    )
    made = builder.sign(key, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.DER)


def b64(content: bytes) -> str:
    """Return bytes as a bundle writes them."""
    return base64.b64encode(content).decode()


def bundle(kind: str = PAYLOAD_TYPE) -> bytes:
    """Return a bundle as sigstore writes it, of which nothing is true but its form."""
    entry = {
        "logIndex": "1",
        "logId": {"keyId": b64(b"log")},
        "kindVersion": {"kind": "dsse", "version": "0.0.1"},
        "integratedTime": "1",
        "inclusionPromise": {"signedEntryTimestamp": b64(b"promise")},
        "inclusionProof": {
            "logIndex": "1",
            "rootHash": b64(b"root"),
            "treeSize": "2",
            "hashes": [],
            "checkpoint": {"envelope": "checkpoint"},
        },
        "canonicalizedBody": b64(b"{}"),
    }
    document = {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {
            "certificate": {"rawBytes": b64(certificate())},
            "tlogEntries": [entry],
        },
        "dsseEnvelope": {
            "payload": b64(STATEMENT.to_bytes()),
            "payloadType": kind,
            "signatures": [{"sig": b64(b"signature")}],
        },
    }
    return json.dumps(document).encode()


class NamesOnly:
    """Asks the library whether the names agree, and neither the log nor who signed."""

    def verify_dsse(
        self, found: Bundle, policy: VerificationPolicy
    ) -> tuple[str, bytes]:
        policy.verify(found.signing_certificate)
        envelope = found._dsse_envelope._inner
        return envelope.payload_type, envelope.payload


def offline() -> Sigstore:
    """Return the library's verifier with the root of trust that it ships."""
    return Sigstore.production(offline=True)


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch) -> Iterator[None]:
    """Keep the library's cache out of the user's home."""
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    return


def test_certificate_of_nobody_is_refused() -> None:
    """The library's own verifier looks at it, with the root of trust that it ships."""
    with pytest.raises(VerificationFailed, match="the provenance is refused"):
        KeylessVerifier(trust=offline).payload(bundle(), POLICY)


def test_exact_names_are_asked_for() -> None:
    """Where the library would accept the rest, identity and issuer have to agree."""
    names = KeylessVerifier(trust=NamesOnly)
    found = verify(bundle(), POLICY, DIGEST, predicate_type="urn:x", verifier=names)
    assert found == STATEMENT


@pytest.mark.parametrize(
    ("identity", "issuer"),
    [
        ("cI@example.com", ISSUER),
        ("i@example.com", ISSUER),
        (WHO, "https://accounts.example.com/"),
        (WHO, "https://accounts.example"),
    ],
)
def test_almost_the_same_names_are_refused(identity: str, issuer: str) -> None:
    """Not a prefix, not another case, not a slash more."""
    policy = Policy(identity=identity, issuer=issuer)
    with pytest.raises(VerificationFailed, match="the provenance is refused"):
        KeylessVerifier(trust=NamesOnly).payload(bundle(), policy)


def test_payload_of_another_type_is_refused() -> None:
    """The library returns the type, and leaves it to us to compare it."""
    with pytest.raises(VerificationFailed, match="no statement"):
        KeylessVerifier(trust=NamesOnly).payload(bundle("text/plain"), POLICY)


def test_policy_without_an_issuer_is_an_error() -> None:
    """A key is not an identity that somebody vouches for."""
    key = Policy(identity=f"ed25519:{DIGEST}")
    with pytest.raises(InvalidInput, match="has no issuer"):
        KeylessVerifier(trust=NamesOnly).payload(bundle(), key)


@pytest.mark.parametrize("document", [b"", b"{}", b"[]", b"\xff", b'{"mediaType":1}'])
def test_what_is_no_bundle_is_refused(document: bytes) -> None:
    """The policy alone decides how a document is read: nothing is tried out."""
    with pytest.raises(VerificationFailed, match="the provenance is refused"):
        verify(document, POLICY, DIGEST)


def test_root_of_trust_that_cannot_be_had_is_no_pass() -> None:
    """Who cannot tell does not say yes."""
    from sigstore.errors import TUFError

    def unreachable() -> Sigstore:
        raise TUFError("no route")

    with pytest.raises(Unavailable, match="root of trust"):
        KeylessVerifier(trust=unreachable).payload(bundle(), POLICY)


def test_token_that_is_none_is_refused() -> None:
    """Before anything is asked of anybody; and it is in no repr."""
    signer = KeylessSigner(policy=POLICY, token="secret")
    with pytest.raises(InvalidInput, match="the OpenID token cannot be used"):
        signer.sign(STATEMENT)
    assert "secret" not in repr(signer)


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Neither signing nor verifying is passed over."""
    monkeypatch.setitem(sys.modules, "sigstore.verify", None)
    with pytest.raises(Unsupported, match=r"immutable-deploy\[sigstore\]"):
        KeylessSigner(policy=POLICY, token="t").sign(STATEMENT)
    with pytest.raises(Unsupported, match=r"immutable-deploy\[sigstore\]"):
        verify(bundle(), POLICY, DIGEST)
