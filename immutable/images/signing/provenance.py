"""How an image came to be, as SLSA provenance: recipe, inputs by hash, builder, tools.

https://slsa.dev/spec/v1.0/provenance
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from urllib.parse import quote

import attrs

from immutable.errors import InvalidInput
from immutable.images.codec import recipe_document
from immutable.images.lock import Pin
from immutable.images.origins import Existing
from immutable.images.packages import Distribution, pinned, purl
from immutable.images.record import ImageRecord
from immutable.images.signing import strict
from immutable.images.signing.statement import Statement
from immutable.images.signing.strict import Json
from immutable.model import Digest, pairs

PREDICATE = "https://slsa.dev/provenance/v1"
HOME = "pkg:pypi/immutable-deploy"
BUILD_TYPE = f"{HOME}#build/v1"
"""How to read `Provenance.recipe`: the parameters are a recipe and its digest."""
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:\S+")
_WHAT = "provenance"


@attrs.frozen(kw_only=True)
class Resource:
    """Something that went into a build, or came out of it beside the image."""

    name: str
    sha256: str
    uri: str = ""

    @classmethod
    def of(cls, name: str, content: bytes) -> "Resource":
        """Return what stands for a document: its name, and the hash of its content."""
        return cls(name=name, sha256=hashlib.sha256(content).hexdigest())


@attrs.frozen(kw_only=True)
class Provenance:
    """What a builder says of a build; whether to believe it, the signature decides.

    ``recipe`` is the recipe as a JSON document; ``unpinned`` what no lock could hold,
    each with the reason; ``byproducts`` documents beside the image, as its bill of
    materials.
    """

    recipe: str
    recipe_digest: Digest
    dependencies: tuple[Resource, ...] = ()
    unpinned: tuple[tuple[str, str], ...] = ()
    builder: str
    tools: tuple[tuple[str, str], ...] = attrs.field(default=(), converter=pairs)
    finished_at: datetime = attrs.field()
    byproducts: tuple[Resource, ...] = ()

    @finished_at.validator
    def _is_aware(self, _attribute: object, value: datetime) -> None:
        if value.utcoffset() is None:
            raise InvalidInput(f"{value} has no zone", hint="use datetime.now(UTC)")

    def to_json(self) -> str:
        """Return the predicate, the same text for equal values."""
        definition = {
            "buildType": BUILD_TYPE,
            "externalParameters": {
                "recipe": strict.read(self.recipe, "recipe"),
                "recipeDigest": {"sha256": self.recipe_digest},
            },
            "internalParameters": {
                "unpinned": [{"layer": k, "reason": v} for k, v in self.unpinned]
            },
            "resolvedDependencies": [_descriptor(each) for each in self.dependencies],
        }
        finished = self.finished_at.astimezone(UTC).isoformat(timespec="microseconds")
        details = {
            "builder": {"id": self.builder, "version": dict(self.tools)},
            "metadata": {"finishedOn": finished.replace("+00:00", "Z")},
            "byproducts": [_descriptor(each) for each in self.byproducts],
        }
        document = {"buildDefinition": definition, "runDetails": details}
        return strict.written(document).decode()

    @classmethod
    def from_json(cls, text: str) -> "Provenance":
        """Return the provenance in a predicate of this kind.

        Raises:
            VerificationFailed: it is of another kind of build, or damaged.
        """
        fields = _fields(strict.read(text, _WHAT))
        definition = _fields(fields.get("buildDefinition"))
        details = _fields(fields.get("runDetails"))
        if (kind := strict.text(definition, "buildType", _WHAT)) != BUILD_TYPE:
            raise strict.damaged(_WHAT, f"{kind} is a build of another kind")
        external = _fields(definition.get("externalParameters"))
        internal = _fields(definition.get("internalParameters"))
        builder = _fields(details.get("builder"))
        return cls(
            recipe=strict.written(_fields(external.get("recipe"))).decode(),
            recipe_digest=_sha256(external.get("recipeDigest")),
            dependencies=_resources(definition.get("resolvedDependencies")),
            unpinned=_unpinned(internal.get("unpinned")),
            builder=strict.text(builder, "id", _WHAT),
            tools=_texts(builder.get("version")),
            finished_at=_time(_fields(details.get("metadata"))),
            byproducts=_resources(details.get("byproducts")),
        )


def provenance_of(
    record: ImageRecord, *, byproducts: Iterable[Resource] = ()
) -> Statement:
    """Return the statement that says how a recorded image came to be.

    Args:
        record: the image's record.
        byproducts: documents beside the image.

    Raises:
        InvalidInput: the record's image has no recipe, or its time no zone.
    """
    image = record.image
    if image.recipe is None:
        message = f"{image.id} was made by no recipe, so there is nothing to say of it"
        raise InvalidInput(message, hint="adopt it with a recipe")
    provenance = Provenance(
        recipe=recipe_document(record),
        recipe_digest=image.recipe,
        dependencies=_dependencies(record),
        unpinned=tuple((each.layer, each.reason) for each in record.unpinned),
        builder=_builder(record),
        tools={tool.name: tool.version for tool in record.tools},
        finished_at=record.built_at,
        byproducts=tuple(byproducts),
    )
    return Statement(
        image=image.id,
        digest=image.digest,
        predicate_type=PREDICATE,
        predicate=provenance.to_json(),
    )


def _dependencies(record: ImageRecord) -> tuple[Resource, ...]:
    found = [_dependency(pin) for entry in record.lock.entries for pin in entry.pins]
    if isinstance(origin := record.origin, Existing):
        found.append(Resource(name=origin.image, sha256=origin.content))
    return tuple(dict.fromkeys(found))


def _dependency(pin: Pin) -> Resource:
    uri = purl(pinned(pin), Distribution())
    return Resource(name=pin.file, sha256=pin.sha256, uri=uri)


def _builder(record: ImageRecord) -> str:
    """Return who built it as a URI, which is what the specification asks for."""
    name = record.builder or record.image.backend
    return name if _URI.fullmatch(name) else f"{HOME}#builder/{quote(name)}"


def _descriptor(resource: Resource) -> Mapping[str, object]:
    uri = {"uri": resource.uri} if resource.uri else {}
    return {"name": resource.name, "digest": {"sha256": resource.sha256}, **uri}


def _resources(value: Json) -> tuple[Resource, ...]:
    found = [_fields(each) for each in strict.items(value, _WHAT)]
    return tuple(
        Resource(
            name=strict.text(fields, "name", _WHAT),
            sha256=_sha256(fields.get("digest")),
            uri=strict.text({"uri": "", **fields}, "uri", _WHAT),
        )
        for fields in found
    )


def _unpinned(value: Json) -> tuple[tuple[str, str], ...]:
    found = [_fields(each) for each in strict.items(value, _WHAT)]
    return tuple(
        (strict.text(each, "layer", _WHAT), strict.text(each, "reason", _WHAT))
        for each in found
    )


def _texts(value: Json) -> tuple[tuple[str, str], ...]:
    fields = _fields(value)
    return pairs({name: strict.text(fields, name, _WHAT) for name in fields})


def _time(fields: Mapping[str, Json]) -> datetime:
    try:
        found = datetime.fromisoformat(strict.text(fields, "finishedOn", _WHAT))
    except ValueError as exc:
        raise strict.damaged(_WHAT, "finishedOn is no time") from exc
    if found.utcoffset() is None:
        raise strict.damaged(_WHAT, "finishedOn has no zone")
    return found.astimezone(UTC)


def _sha256(value: Json) -> Digest:
    return Digest(strict.text(_fields(value), "sha256", _WHAT))


def _fields(value: Json) -> Mapping[str, Json]:
    return strict.members(value, _WHAT)
