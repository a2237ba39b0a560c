"""What is signed: an in-toto statement that says something about one image.

https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
"""

from collections.abc import Mapping

import attrs

from immutable.images.signing import strict
from immutable.images.signing.strict import Json
from immutable.model import Digest, ImageId

TYPE = "https://in-toto.io/Statement/v1"
_WHAT = "signed statement"


@attrs.frozen(kw_only=True)
class Statement:
    """A predicate about one image: its id and its digest are bound together here.

    ``predicate`` is a JSON object as text; ``predicate_type`` says what it means.
    """

    image: ImageId
    digest: Digest
    predicate_type: str
    predicate: str

    def to_bytes(self) -> bytes:
        """Return the statement as JSON, the same bytes for equal statements."""
        return strict.written(
            {
                "_type": TYPE,
                "subject": [{"name": self.image, "digest": {"sha256": self.digest}}],
                "predicateType": self.predicate_type,
                "predicate": strict.read(self.predicate, "predicate"),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> "Statement":
        """Return the statement in a payload whose signature has been verified.

        Members that this version does not know are passed over, as in-toto asks.

        Raises:
            VerificationFailed: it is no statement about exactly one image.
        """
        fields = strict.members(strict.read(data, _WHAT), _WHAT)
        if strict.text(fields, "_type", _WHAT) != TYPE:
            raise strict.damaged(_WHAT, f"its type is not {TYPE}")
        subject = _only_subject(fields)
        digests = strict.members(subject.get("digest"), _WHAT)
        predicate = strict.members(fields.get("predicate"), _WHAT)
        return cls(
            image=ImageId(strict.text(subject, "name", _WHAT)),
            digest=Digest(strict.text(digests, "sha256", _WHAT)),
            predicate_type=strict.text(fields, "predicateType", _WHAT),
            predicate=strict.written(predicate, _WHAT).decode(),
        )


def _only_subject(fields: Mapping[str, Json]) -> Mapping[str, Json]:
    subjects = strict.items(fields.get("subject"), _WHAT)
    if len(subjects) != 1:
        raise strict.damaged(_WHAT, f"it is about {len(subjects)} images, not one")
    return strict.members(subjects[0], _WHAT)
