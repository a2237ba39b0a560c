"""Records of images, through JSON and back."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from immutable.errors import InvalidInput
from immutable.images import layers as kinds
from immutable.images.codec import SCHEMA, SIZE_LIMIT_BYTES, decode, encode
from immutable.images.lock import Entry, Lock, Pin
from immutable.images.origins import Existing, Packer
from immutable.images.record import BuiltLayer, ImageRecord, Tool, Unpinned
from immutable.model import Digest, Image, ImageId, digest_of

WORDS = st.text(min_size=1, max_size=12)
DIGESTS = WORDS.map(digest_of)
SOURCES = DIGESTS.map(Path)
TARGETS = DIGESTS.map(lambda digest: PurePosixPath("/srv", digest))
PAIRS = st.dictionaries(WORDS, WORDS, max_size=3)
TIMES = st.datetimes(timezones=st.just(UTC))
DEADLINES = st.timedeltas(min_value=timedelta(seconds=1), max_value=timedelta(days=9))
NAMES = st.lists(WORDS, max_size=3).map(tuple)
LAYERS = st.one_of(
    st.builds(kinds.Packages, names=NAMES),
    st.builds(kinds.Files, source=SOURCES, target=TARGETS, exclude=NAMES, owner=WORDS),
    st.builds(kinds.Run, command=WORDS, network=st.booleans(), deadline=DEADLINES),
    st.builds(
        kinds.User,
        name=WORDS,
        uid=st.none() | st.integers(1, 9999),
        home=TARGETS,
        shell=TARGETS,
        groups=NAMES,
    ),
    st.builds(kinds.Daemon, name=WORDS, command=NAMES, environment=PAIRS, user=WORDS),
    st.builds(kinds.Unit, name=WORDS, source=SOURCES),
    st.builds(
        kinds.Python, version=WORDS, requirements=st.none() | SOURCES, venv=TARGETS
    ),
    st.builds(
        kinds.Ansible,
        source=SOURCES,
        playbook=WORDS,
        variables=PAIRS,
        deadline=DEADLINES,
    ),
    st.builds(
        kinds.Puppet, source=SOURCES, manifest=WORDS, facts=PAIRS, deadline=DEADLINES
    ),
    st.builds(
        kinds.Cfengine, source=SOURCES, policy=WORDS, classes=NAMES, deadline=DEADLINES
    ),
    st.builds(
        kinds.Chef,
        source=SOURCES,
        run_list=WORDS,
        attributes=PAIRS,
        deadline=DEADLINES,
    ),
)
ORIGINS = st.one_of(
    WORDS,
    st.builds(Existing, image=WORDS.map(ImageId), content=DIGESTS),
    st.builds(Packer, source=SOURCES, template=WORDS, variables=PAIRS),
)
IMAGES = st.builds(
    Image,
    id=WORDS.map(ImageId),
    digest=DIGESTS,
    backend=WORDS,
    size_bytes=st.integers(0, 1 << 60),
    recipe=st.none() | DIGESTS,
    parent=st.none() | WORDS.map(ImageId),
    built_at=st.none() | TIMES,
)
PINS = st.builds(
    Pin,
    name=WORDS,
    version=WORDS,
    architecture=WORDS,
    file=WORDS,
    sha256=DIGESTS,
    size_bytes=st.integers(0, 1 << 40),
    origin=WORDS,
)
ENTRIES = st.builds(
    Entry, layer=DIGESTS, what=WORDS, pins=st.lists(PINS, max_size=2).map(tuple)
)
RECORDS = st.builds(
    ImageRecord,
    image=IMAGES,
    origin=ORIGINS,
    layers=st.lists(LAYERS, max_size=4).map(tuple),
    lock=st.builds(Lock, entries=st.lists(ENTRIES, max_size=2).map(tuple)),
    kernel=DIGESTS,
    built=st.lists(
        st.builds(
            BuiltLayer,
            what=WORDS,
            recipe=DIGESTS,
            content=DIGESTS,
            size_bytes=st.integers(0, 1 << 40),
        ),
        max_size=2,
    ).map(tuple),
    tools=st.lists(st.builds(Tool, name=WORDS, version=WORDS), max_size=2).map(tuple),
    unpinned=st.lists(st.builds(Unpinned, layer=WORDS, reason=WORDS), max_size=2).map(
        tuple
    ),
    builder=WORDS,
    built_at=TIMES,
)
RECORD = ImageRecord(
    image=Image(id=ImageId("i"), digest=Digest("d"), backend="b"),
    origin="debian:12",
    layers=(kinds.Run(command="true"),),
    lock=Lock(),
    kernel=Digest("k"),
    built=(),
    built_at=datetime(2026, 1, 1, tzinfo=UTC),
)


@given(RECORDS)
def test_records_survive_the_round_trip(record: ImageRecord) -> None:
    """What is decoded is what was encoded, and equal records have equal bytes."""
    data = encode(record)
    assert decode(data) == record
    assert encode(decode(data)) == data


def test_a_record_is_printed_in_few_words() -> None:
    """What it is, what it is made of, and what is not pinned; no line for each package."""
    layer = BuiltLayer(
        what="run true", recipe=Digest("r"), content=Digest("c"), size_bytes=7
    )
    loose = Unpinned(layer="run true", reason="it could reach the network")
    record = attrs.evolve(RECORD, built=(layer,), unpinned=(loose,), builder="ann")
    assert str(record).splitlines() == [
        "image i, built 2026-01-01 00:00 UTC by ann",
        "  run true (7 bytes)",
        "  0 packages by hash; not all pinned",
        "  not pinned: run true: it could reach the network",
    ]
    assert "all pinned" in str(RECORD)


def test_newer_records_are_refused() -> None:
    """They are not guessed at, and the error says what to do."""
    fields = json.loads(encode(RECORD)) | {"schema": SCHEMA + 1}
    with pytest.raises(InvalidInput, match=f"schema {SCHEMA + 1}"):
        decode(json.dumps(fields).encode())


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"1", b"{}", b'{"schema": 1}', b"\xff", b"[" * 100_000]
)
def test_other_things_are_refused(data: bytes) -> None:
    """Whatever is no record is an error of its own kind."""
    with pytest.raises(InvalidInput):
        decode(data)


def test_unknown_fields_are_refused() -> None:
    """What this version would drop is not dropped silently."""
    fields = json.loads(encode(RECORD)) | {"more": 1}
    with pytest.raises(InvalidInput, match="cannot be understood"):
        decode(json.dumps(fields).encode())


def test_no_record_is_endless() -> None:
    """Neither written nor read beyond the limit."""
    run = kinds.Run(command="x" * SIZE_LIMIT_BYTES)
    long = ImageRecord(
        image=RECORD.image,
        origin="debian:12",
        layers=(run,),
        lock=Lock(),
        kernel=Digest("k"),
        built=(),
        built_at=RECORD.built_at,
    )
    with pytest.raises(InvalidInput, match="the most"):
        encode(long)
    with pytest.raises(InvalidInput, match="far too long"):
        decode(b" " * (SIZE_LIMIT_BYTES + 1))
