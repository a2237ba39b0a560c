"""Whatever is changed in what was signed, it is refused or was no change."""

import json

import attrs
import hypothesis.strategies as st
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import given

from immutable.errors import VerificationFailed
from immutable.images.signing import KeySigner, Policy, Statement, verify
from immutable.images.signing.envelope import Envelope, Signature, pae
from immutable.model import Digest, ImageId

SIGNER = KeySigner(ed25519.Ed25519PrivateKey.from_private_bytes(b"1" * 32))
TYPE = "urn:anything"
TEXT = st.text(max_size=30)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3)
    ),
    max_leaves=8,
)
STATEMENTS = st.builds(
    Statement,
    image=TEXT.map(ImageId),
    digest=st.binary(min_size=32, max_size=32).map(lambda each: Digest(each.hex())),
    predicate_type=st.just(TYPE),
    predicate=st.dictionaries(TEXT, JSON, max_size=4).map(
        lambda each: json.dumps(each, sort_keys=True, separators=(",", ":"))
    ),
)


def check(
    document: bytes, statement: Statement, policy: Policy | None = None
) -> Statement:
    """Return what is verified."""
    asked = policy or SIGNER.policy
    return verify(document, asked, statement.digest, predicate_type=TYPE)


def altered(data: st.DataObject, content: bytes) -> bytes:
    """Return the bytes with another one in one place."""
    place = data.draw(st.integers(0, len(content) - 1))
    delta = data.draw(st.integers(1, 255))
    changed = bytearray(content)
    changed[place] ^= delta
    return bytes(changed)


@given(statement=STATEMENTS)
def test_what_is_signed_comes_back(statement: Statement) -> None:
    """Whatever a statement holds, it survives the way through the document."""
    assert check(SIGNER.sign(statement), statement) == statement


@given(statement=STATEMENTS, data=st.data())
def test_any_changed_byte_of_the_payload_is_refused(
    statement: Statement, data: st.DataObject
) -> None:
    """Wherever it is, and whatever it says then."""
    envelope = Envelope.from_bytes(SIGNER.sign(statement))
    other = attrs.evolve(envelope, payload=altered(data, envelope.payload))
    with pytest.raises(VerificationFailed, match="signature"):
        check(other.to_bytes(), statement)


@given(statement=STATEMENTS, data=st.data())
def test_any_changed_byte_of_the_signature_is_refused(
    statement: Statement, data: st.DataObject
) -> None:
    """There is one signature of a statement by a key, and no second spelling of it."""
    envelope = Envelope.from_bytes(SIGNER.sign(statement))
    (signature,) = envelope.signatures
    value = altered(data, signature.value)
    other = attrs.evolve(signature, value=value)
    with pytest.raises(VerificationFailed, match="signature"):
        check(attrs.evolve(envelope, signatures=(other,)).to_bytes(), statement)


@given(statement=STATEMENTS, data=st.data())
def test_any_changed_byte_of_the_document_is_refused_or_says_the_same(
    statement: Statement, data: st.DataObject
) -> None:
    """Base64 has two alphabets, names of unknown members are free: no other freedom."""
    document = SIGNER.sign(statement)
    other = altered(data, document)
    try:
        found = check(other, statement)
    except VerificationFailed:
        return
    assert found == statement
    assert Envelope.from_bytes(other) == Envelope.from_bytes(document)


@given(statement=STATEMENTS, length=st.integers(0, 400))
def test_any_cut_is_refused(statement: Statement, length: int) -> None:
    """Half a document proves nothing."""
    with pytest.raises(VerificationFailed):
        check(SIGNER.sign(statement)[:length], statement)


@given(statement=STATEMENTS, other=STATEMENTS)
def test_a_statement_proves_its_own_image_only(
    statement: Statement, other: Statement
) -> None:
    """Verified against another image's digest, it is refused."""
    document = SIGNER.sign(statement)
    if other.digest == statement.digest:
        assert check(document, other) == statement
    else:
        with pytest.raises(VerificationFailed, match="another image"):
            check(document, other)


@given(statement=STATEMENTS, seed=st.binary(min_size=32, max_size=32))
def test_any_other_key_is_refused(statement: Statement, seed: bytes) -> None:
    """Under its own name, and under the name of the key that is trusted."""
    other = KeySigner(ed25519.Ed25519PrivateKey.from_private_bytes(seed))
    if other.policy == SIGNER.policy:
        return
    document = other.sign(statement)
    with pytest.raises(VerificationFailed):
        check(document, statement)
    ours = SIGNER.policy.identity.encode()
    renamed = document.replace(other.policy.identity.encode(), ours)
    with pytest.raises(VerificationFailed, match="signature"):
        check(renamed, statement)


@given(data=st.binary(max_size=200) | JSON.map(lambda each: json.dumps(each).encode()))
def test_anything_else_is_refused(data: bytes) -> None:
    """No document makes reading it fail in a way of its own."""
    with pytest.raises(VerificationFailed):
        verify(data, SIGNER.policy, Digest("00" * 32))


@given(payload=JSON.map(lambda each: json.dumps(each).encode()))
def test_signed_payloads_that_are_no_statement_are_refused(payload: bytes) -> None:
    """Also when a trusted key has signed them."""
    value = SIGNER._key.sign(pae("application/vnd.in-toto+json", payload))
    signature = Signature(key_id=SIGNER.policy.identity, value=value)
    document = Envelope(payload=payload, signatures=(signature,)).to_bytes()
    with pytest.raises(VerificationFailed):
        verify(document, SIGNER.policy, Digest("00" * 32))


@given(first=st.tuples(TEXT, st.binary()), second=st.tuples(TEXT, st.binary()))
def test_encodings_of_what_is_signed_are_distinct(
    first: tuple[str, bytes], second: tuple[str, bytes]
) -> None:
    """No two pairs of type and payload are the same bytes."""
    assert (pae(*first) == pae(*second)) == (first == second)
