"""The DSSE envelope: bytes, what they mean, and who signed both.

https://github.com/secure-systems-lab/dsse (protocol.md and envelope.md, 1.0.0)
"""

import base64
import binascii

import attrs

from immutable.images.signing import strict
from immutable.images.signing.strict import Json

PAYLOAD_TYPE = "application/vnd.in-toto+json"
_URL_SAFE = str.maketrans("-_", "+/")
_WHAT = "envelope"


@attrs.frozen(kw_only=True)
class Signature:
    """One signature; the key id is a hint of the signer's and proves nothing."""

    key_id: str = ""
    value: bytes


@attrs.frozen(kw_only=True)
class Envelope:
    """A signed payload as it is kept and sent."""

    payload: bytes
    payload_type: str = PAYLOAD_TYPE
    signatures: tuple[Signature, ...]

    def to_bytes(self) -> bytes:
        """Return the envelope as JSON, the same bytes for equal envelopes."""
        signatures = [
            {"keyid": each.key_id, "sig": _encoded(each.value)}
            for each in self.signatures
        ]
        return strict.written(
            {
                "payload": _encoded(self.payload),
                "payloadType": self.payload_type,
                "signatures": signatures,
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> "Envelope":
        """Return the envelope that a document describes; nothing is verified yet.

        Raises:
            VerificationFailed: it is no envelope.
        """
        fields = strict.members(strict.read(data, _WHAT), _WHAT)
        signatures = strict.items(fields.get("signatures"), _WHAT)
        return cls(
            payload=_decoded(strict.text(fields, "payload", _WHAT)),
            payload_type=strict.text(fields, "payloadType", _WHAT),
            signatures=tuple(map(_signature, signatures)),
        )


def pae(payload_type: str, payload: bytes) -> bytes:
    """Return what is signed: type and payload, each with its length before it.

    >>> pae("http://example.com/HelloWorld", b"hello world")
    b'DSSEv1 29 http://example.com/HelloWorld 11 hello world'
    """
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _signature(value: Json) -> Signature:
    fields = strict.members(value, _WHAT)
    return Signature(
        key_id=strict.text({"keyid": "", **fields}, "keyid", _WHAT),
        value=_decoded(strict.text(fields, "sig", _WHAT)),
    )


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(text: str) -> bytes:
    """Return what base64 says, in either alphabet, as the specification demands.

    Bits that a decoder passes over have to be zero: one value, one spelling.
    """
    standard = text.translate(_URL_SAFE)
    try:
        data = base64.b64decode(standard, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise strict.damaged(_WHAT, "it holds no base64") from exc
    if _encoded(data) != standard:
        raise strict.damaged(_WHAT, "its base64 has bits to spare")
    return data
