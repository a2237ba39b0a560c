"""Signed provenance: what is believed, and everything that is refused."""

import base64
import hashlib
import json
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from securesystemslib import dsse
from securesystemslib.signer import CryptoSigner, Signature, SSlibKey

from immutable.errors import InvalidInput, Unsupported, VerificationFailed
from immutable.images.lock import Entry, Lock, Pin
from immutable.images.origins import Existing
from immutable.images.record import ImageRecord, Tool, Unpinned
from immutable.images.signing import (
    KeySigner,
    Policy,
    Provenance,
    Resource,
    Statement,
    provenance_of,
    verify,
)
from immutable.images.signing.envelope import Envelope, pae
from immutable.images.signing.provenance import BUILD_TYPE, PREDICATE
from immutable.images.signing.strict import SIZE_LIMIT_BYTES
from immutable.model import Digest, Image, ImageId

DIGEST = Digest("ab" * 32)
IMAGE = Image(
    id=ImageId("shop-1"), digest=DIGEST, backend="test", recipe=Digest("cd" * 32)
)
AT = datetime(2026, 11, 23, 5, 30, 1, 999, tzinfo=UTC)
PIN = Pin(
    name="bash",
    version="5.2+b1",
    architecture="amd64",
    file="bash_5.2+b1_amd64.deb",
    sha256="ef" * 32,
    size_bytes=1,
    origin="debian bookworm",
)
RECORD = ImageRecord(
    image=IMAGE,
    origin="debian:12",
    layers=(),
    lock=Lock(entries=(Entry(layer=DIGEST, what="base", pins=(PIN,)),)),
    kernel=DIGEST,
    built=(),
    tools=(Tool(name="mmdebstrap", version="1.3"),),
    unpinned=(Unpinned(layer="run date", reason="it asks for the time"),),
    built_at=AT,
)
BILL = Resource.of("sbom.json", b"{}")
STATEMENT = provenance_of(RECORD, byproducts=[BILL])
MINE = KeySigner(ed25519.Ed25519PrivateKey.from_private_bytes(b"1" * 32))
OTHER = KeySigner(ed25519.Ed25519PrivateKey.from_private_bytes(b"2" * 32))
POLICY = MINE.policy
SIGNED = MINE.sign(STATEMENT)


def changed(**changes: object) -> bytes:
    """Return the envelope's document with other members."""
    return json.dumps(json.loads(SIGNED) | changes).encode()


def signed(payload: bytes, kind: str = "application/vnd.in-toto+json") -> bytes:
    """Return an envelope that is correctly signed, whatever its payload says."""
    value = MINE._key.sign(pae(kind, payload))
    return changed(
        payloadType=kind,
        payload=base64.b64encode(payload).decode(),
        signatures=[signature(value=value)],
    )


def signature(
    key: str = POLICY.identity, value: bytes | None = None
) -> dict[str, str | bytes]:
    """Return one signature as it stands in the document."""
    kept = json.loads(SIGNED)["signatures"][0]["sig"]
    return {
        "keyid": key,
        "sig": kept if value is None else base64.b64encode(value).decode(),
    }


def restated(**changes: object) -> bytes:
    """Return a correctly signed envelope with another statement in it."""
    fields = json.loads(STATEMENT.to_bytes()) | changes
    return signed(json.dumps(fields).encode())


def test_what_was_signed_comes_back() -> None:
    """The statement is the same, and so is the provenance in it."""
    found = verify(SIGNED, POLICY, DIGEST, image=IMAGE.id)
    assert found == STATEMENT
    provenance = Provenance.from_json(found.predicate)
    assert provenance.to_json() == found.predicate
    assert json.loads(provenance.recipe) == {"layers": [], "origin": "debian:12"}
    assert provenance.recipe_digest == IMAGE.recipe
    assert provenance.finished_at == AT
    assert provenance.tools == (("mmdebstrap", "1.3"),)
    assert provenance.unpinned == (("run date", "it asks for the time"),)
    sha256 = hashlib.sha256(b"{}").hexdigest()
    assert provenance.byproducts == (Resource(name="sbom.json", sha256=sha256),)
    uri = "pkg:deb/debian/bash@5.2%2Bb1?arch=amd64"
    assert provenance.dependencies == (
        Resource(name="bash_5.2+b1_amd64.deb", sha256="ef" * 32, uri=uri),
    )


def test_statement_has_the_shape_of_the_specifications() -> None:
    """Names and nesting as in-toto Statement v1 and SLSA provenance v1 say."""
    document = json.loads(STATEMENT.to_bytes())
    assert document["_type"] == "https://in-toto.io/Statement/v1"
    assert document["predicateType"] == "https://slsa.dev/provenance/v1"
    assert document["subject"] == [{"name": "shop-1", "digest": {"sha256": DIGEST}}]
    predicate = document["predicate"]
    assert set(predicate) == {"buildDefinition", "runDetails"}
    assert set(predicate["buildDefinition"]) == {
        "buildType",
        "externalParameters",
        "internalParameters",
        "resolvedDependencies",
    }
    assert predicate["runDetails"]["metadata"] == {
        "finishedOn": "2026-11-23T05:30:01.000999Z"
    }


@pytest.mark.parametrize(
    ("builder", "expected"),
    [
        ("", "pkg:pypi/immutable-deploy#builder/test"),
        ("a host", "pkg:pypi/immutable-deploy#builder/a%20host"),
        ("https://ci.example.com/1", "https://ci.example.com/1"),
    ],
)
def test_builder_is_a_uri(builder: str, expected: str) -> None:
    """A plain name becomes one."""
    made = provenance_of(attrs.evolve(RECORD, builder=builder))
    assert Provenance.from_json(made.predicate).builder == expected


def test_image_that_was_built_upon_is_a_dependency() -> None:
    """By its digest, beside the pins."""
    origin = Existing(image=ImageId("base-1"), content=DIGEST)
    made = provenance_of(attrs.evolve(RECORD, origin=origin))
    found = Provenance.from_json(made.predicate).dependencies
    assert found[-1] == Resource(name="base-1", sha256=DIGEST)


def test_what_cannot_be_stated_is_refused() -> None:
    """An image without a recipe, and a time without a zone."""
    adopted = attrs.evolve(RECORD, image=attrs.evolve(IMAGE, recipe=None))
    with pytest.raises(InvalidInput, match="no recipe"):
        provenance_of(adopted)
    with pytest.raises(InvalidInput, match="no zone"):
        provenance_of(attrs.evolve(RECORD, built_at=AT.replace(tzinfo=None)))


def test_recipe_that_is_no_json_is_refused() -> None:
    """It could not be read again."""
    provenance = Provenance.from_json(STATEMENT.predicate)
    with pytest.raises(VerificationFailed, match="the recipe is damaged"):
        attrs.evolve(provenance, recipe="{").to_json()


def test_signing_is_repeatable() -> None:
    """Equal statements give equal documents: ed25519 draws nothing."""
    assert MINE.sign(STATEMENT) == SIGNED


def test_private_key_is_not_shown() -> None:
    """Neither text of a signer leads to its key."""
    assert str(MINE) == repr(MINE) == "KeySigner()"


# -- other implementations


def test_pae_is_the_specifications_example() -> None:
    """As in protocol.md of DSSE."""
    expected = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert pae("http://example.com/HelloWorld", b"hello world") == expected


def test_another_implementation_verifies_ours() -> None:
    """The library securesystemslib accepts the envelope, by the public key alone."""
    envelope = dsse.Envelope.from_dict(json.loads(SIGNED))
    public = {"public": POLICY.identity.removeprefix("ed25519:")}
    key = SSlibKey(POLICY.identity, "ed25519", "ed25519", public)
    assert envelope.verify([key], 1) == {POLICY.identity: key}
    assert envelope.payload == STATEMENT.to_bytes()


def test_ours_verifies_what_another_signs() -> None:
    """An envelope that securesystemslib made is accepted."""
    public = {"public": POLICY.identity.removeprefix("ed25519:")}
    key = SSlibKey(POLICY.identity, "ed25519", "ed25519", public)
    payload = STATEMENT.to_bytes()
    envelope = dsse.Envelope(payload, "application/vnd.in-toto+json", {})
    made: Signature = envelope.sign(CryptoSigner(MINE._key, key))
    assert made.keyid == POLICY.identity
    document = json.dumps(envelope.to_dict()).encode()
    assert verify(document, POLICY, DIGEST) == STATEMENT


def test_url_safe_base64_is_accepted() -> None:
    """The specification demands it of whoever verifies."""
    texts = (MINE.sign(attrs.evolve(STATEMENT, image=str(n))) for n in range(100))
    document = next(text for text in texts if {*b"+/"} <= {*text.split(b'"sig":')[1]})
    fields = json.loads(document)
    (kept,) = fields["signatures"]
    kept["sig"] = kept["sig"].replace("+", "-").replace("/", "_")
    other = json.dumps(fields).encode()
    assert verify(other, POLICY, DIGEST) == verify(document, POLICY, DIGEST)


def test_members_that_nobody_knows_are_passed_over() -> None:
    """In the envelope and, signed, in the statement, as both specifications ask."""
    assert verify(changed(more=[1]), POLICY, DIGEST) == STATEMENT
    assert verify(restated(more=[1.5]), POLICY, DIGEST) == STATEMENT


# -- what is refused


def spare_bit(sig: str) -> str:
    """Return other base64 that many decoders read as the same 64 bytes."""
    assert sig.endswith("==")
    last = chr(ord(sig[-3]) + 1)
    other = f"{sig[:-3]}{last}=="
    assert base64.b64decode(other) == base64.b64decode(sig)
    return other


PAYLOAD = json.loads(SIGNED)["payload"]
GOOD, BAD = signature(), signature(value=b"x" * 64)
FOREIGN = json.loads(OTHER.sign(STATEMENT))["signatures"][0]
TAMPERED = {
    "another payload": changed(payload=base64.b64encode(b"{}").decode()),
    "no payload": changed(payload=""),
    "another type": changed(payloadType="application/vnd.in-toto+xml"),
    "no type": changed(payloadType=None),
    "another signature": changed(signatures=[BAD]),
    "a short signature": changed(signatures=[signature(value=b"x")]),
    "an empty signature": changed(signatures=[signature(value=b"")]),
    "no signatures": changed(signatures=[]),
    "signatures that are none": changed(signatures="x"),
    "a signature that is none": changed(signatures=["x"]),
    "another key's": OTHER.sign(STATEMENT),
    "another key's under our name": changed(
        signatures=[FOREIGN | {"keyid": POLICY.identity}]
    ),
    "ours under another name": changed(signatures=[signature(OTHER.policy.identity)]),
    "ours without a name": changed(signatures=[{"sig": GOOD["sig"]}]),
    "ours with a name that is none": changed(signatures=[GOOD | {"keyid": 1}]),
    "a good one and a bad one": changed(signatures=[GOOD, BAD]),
    "a bad one and a good one": changed(signatures=[BAD, GOOD]),
    "the good one twice": changed(signatures=[GOOD, GOOD]),
    "a good one and a stranger's": changed(signatures=[GOOD, FOREIGN]),
    "bits to spare": changed(signatures=[GOOD | {"sig": spare_bit(GOOD["sig"])}]),
    "no base64": changed(payload="?" + PAYLOAD[1:]),
    "space in base64": changed(payload=PAYLOAD + "\n"),
    "letters that are no ASCII": changed(payload="\N{DIGIT ONE}\u0661" + PAYLOAD),
    "a member twice": SIGNED[:-1] + b',"payloadType":"application/vnd.in-toto+json"}',
    "no number": SIGNED[:-1] + b',"more":NaN}',
    "too large a number": SIGNED[:-1] + b',"more":1e999}',
    "no JSON": b"x",
    "no object": b"[]",
    "no text": b"\xff",
    "nothing": b"",
    "too deep": b"[" * 200_000,
    "cut short": SIGNED[:-1],
    "too large": SIGNED + b" " * SIZE_LIMIT_BYTES,
}


@pytest.mark.parametrize("document", TAMPERED.values(), ids=TAMPERED)
def test_tampering_is_refused(document: bytes) -> None:
    """Nothing but the very document that was signed is believed."""
    with pytest.raises(VerificationFailed) as caught:
        verify(document, POLICY, DIGEST)
    assert caught.value.hint


SUBJECT = {"name": "shop-1", "digest": {"sha256": DIGEST}}
MISSTATED = {
    "another type": restated(_type="https://in-toto.io/Statement/v0.1"),
    "another predicate": restated(predicateType="https://slsa.dev/provenance/v0.2"),
    "no predicate": restated(predicate=None),
    "no subject": restated(subject=[]),
    "two subjects": restated(subject=[SUBJECT, SUBJECT]),
    "another digest": restated(subject=[SUBJECT | {"digest": {"sha256": "00" * 32}}]),
    "another algorithm": restated(subject=[SUBJECT | {"digest": {"sha1": DIGEST}}]),
    "another image": restated(subject=[SUBJECT | {"name": "shop-2"}]),
    "no image": restated(subject=[{"digest": {"sha256": DIGEST}}]),
    "no statement": signed(b"hello"),
    "no statement by its type": signed(STATEMENT.to_bytes(), "application/json"),
    "two digests": signed(
        STATEMENT.to_bytes().replace(b'"sha256":', b'"sha256":"x","sha256":', 1)
    ),
}


@pytest.mark.parametrize("document", MISSTATED.values(), ids=MISSTATED)
def test_statement_about_something_else_is_refused(document: bytes) -> None:
    """The signature is good; what it says does not prove this image."""
    with pytest.raises(VerificationFailed):
        verify(document, POLICY, DIGEST, image=IMAGE.id)


def test_image_id_is_compared_where_it_is_given() -> None:
    """The same bytes may have another id elsewhere; then the digest decides."""
    document = restated(subject=[SUBJECT | {"name": "elsewhere"}])
    assert verify(document, POLICY, DIGEST).image == "elsewhere"


def test_missing_document_is_refused() -> None:
    """An image without provenance is not one whose provenance is good."""
    with pytest.raises(VerificationFailed, match="no signed provenance"):
        verify(None, POLICY, DIGEST)


@pytest.mark.parametrize("digest", ["", "ab", DIGEST.upper(), f"{DIGEST}\n"])
def test_half_a_question_is_an_error(digest: str) -> None:
    """Without a digest or a policy there is nothing to verify against."""
    with pytest.raises(InvalidInput, match="nothing to verify against"):
        verify(SIGNED, POLICY, Digest(digest))
    with pytest.raises(InvalidInput, match="nothing to verify against"):
        verify(SIGNED, None, DIGEST)


KEY = POLICY.identity
ISSUER = "https://accounts.example.com"


@pytest.mark.parametrize(
    ("identity", "issuer"),
    [
        ("", ""),
        ("", ISSUER),
        ("ci@example.com", ""),
        ("ci@example.com", "http://accounts.example.com"),
        ("ci@example.com", "accounts.example.com"),
        ("ci@example.com", "https://*.example.com"),
        ("*@example.com", ISSUER),
        ("ci@example.com ", ISSUER),
        ("*", ISSUER),
        (KEY, ISSUER),
        (KEY[:-1], ""),
        (KEY[:-1], ISSUER),
        (KEY.upper(), ""),
        (f"{KEY}\n", ""),
        ("ed25519:", ""),
    ],
)
def test_half_a_policy_is_an_error(identity: str, issuer: str) -> None:
    """It says so when it is made, and not by accepting more than was meant."""
    with pytest.raises(InvalidInput):
        Policy(identity=identity, issuer=issuer)


BUILD = json.loads(STATEMENT.predicate)
DAMAGES: dict[str, Callable[[dict], object]] = {
    "another kind": lambda d: d["buildDefinition"].update(buildType="x"),
    "no kind": lambda d: d["buildDefinition"].pop("buildType"),
    "no recipe": lambda d: d["buildDefinition"]["externalParameters"].pop("recipe"),
    "no list": lambda d: d["buildDefinition"].update(resolvedDependencies={}),
    "no digest": lambda d: d["buildDefinition"]["resolvedDependencies"][0].pop(
        "digest"
    ),
    "no time": lambda d: d["runDetails"]["metadata"].update(finishedOn="now"),
    "no zone": lambda d: d["runDetails"]["metadata"].update(finishedOn="2026-11-23"),
    "no version": lambda d: d["runDetails"]["builder"]["version"].update(apt=1),
    "no details": lambda d: d.pop("runDetails"),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_provenance_of_another_kind_is_refused(
    damage: Callable[[dict], object],
) -> None:
    """Whoever asks for its parts is told, even though somebody signed it."""
    document = json.loads(STATEMENT.predicate)
    assert document["buildDefinition"]["buildType"] == BUILD_TYPE
    damage(document)
    with pytest.raises(VerificationFailed, match="the provenance is damaged"):
        Provenance.from_json(json.dumps(document))


def test_statement_of_another_kind_can_be_verified() -> None:
    """Who asks for another predicate gets that one, and provenance no longer."""
    other = Statement(
        image=IMAGE.id, digest=DIGEST, predicate_type="urn:x", predicate='{"a":1}'
    )
    document = MINE.sign(other)
    assert verify(document, POLICY, DIGEST, predicate_type="urn:x") == other
    with pytest.raises(VerificationFailed, match=PREDICATE):
        verify(document, POLICY, DIGEST)


def test_predicate_that_json_does_not_have_is_refused() -> None:
    """It could be written, and nobody could read it."""
    broken = attrs.evolve(STATEMENT, predicate='{"a":NaN}')
    with pytest.raises(VerificationFailed, match="the predicate is damaged"):
        MINE.sign(broken)


def test_envelope_keeps_its_bytes() -> None:
    """Read and written again, a document of ours is the same."""
    assert Envelope.from_bytes(SIGNED).to_bytes() == SIGNED


def test_without_the_extra_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither signing nor verifying is passed over."""
    from immutable.images.signing import local_signer

    monkeypatch.setitem(sys.modules, "cryptography", None)
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    with pytest.raises(Unsupported, match=r"immutable-deploy\[sign\]"):
        verify(SIGNED, POLICY, DIGEST)
    with pytest.raises(Unsupported, match=r"immutable-deploy\[sign\]"):
        local_signer(tmp_path / "key")
    assert not (tmp_path / "key").exists()
