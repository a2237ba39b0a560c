"""Whatever packages are called, their bill is valid, complete and the same each time."""

import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from packageurl import PackageURL
from roots import debian, faults_of, stanza, wheel

from immutable.images.packages import Distribution, Package, packages_of, purl
from immutable.images.sbom import sbom_of
from immutable.model import Digest, ImageId

AT = datetime(2026, 11, 23, tzinfo=UTC)
SYSTEM = Distribution(id="debian", version="12")
# What Debian's policy (5.6.1, 5.6.12) and Python's packaging specifications allow.
DEBIAN_NAMES = st.from_regex(r"[a-z0-9][a-z0-9+.-]{1,10}", fullmatch=True)
DEBIAN_VERSIONS = st.from_regex(r"([0-9]:)?[0-9][A-Za-z0-9.+~-]{0,10}", fullmatch=True)
PYTHON_NAMES = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._]{0,8}[a-z])?", fullmatch=True)
PYTHON_VERSIONS = st.from_regex(r"([0-9]!)?[0-9](\.[0-9a-z]{1,4}){0,3}", fullmatch=True)
ARCHITECTURES = st.sampled_from(["amd64", "arm64", "i386", "all"])
ANY = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1)
DEBIAN = st.tuples(DEBIAN_NAMES, ARCHITECTURES, DEBIAN_VERSIONS)


@given(name=DEBIAN_NAMES, version=DEBIAN_VERSIONS, architecture=ARCHITECTURES)
def test_debian_purls_are_as_the_reference_writes_them(
    name: str, version: str, architecture: str
) -> None:
    """Another implementation reads every part back and writes the same text."""
    package = Package(kind="deb", name=name, version=version, architecture=architecture)
    text = purl(package, SYSTEM)
    read = PackageURL.from_string(text)
    assert read.to_string() == text
    parts = (read.type, read.namespace, read.name, read.version)
    assert parts == ("deb", "debian", name, version)
    assert read.qualifiers == {"arch": architecture, "distro": "debian-12"}


@given(name=PYTHON_NAMES, version=PYTHON_VERSIONS)
def test_python_purls_are_as_the_reference_writes_them(name: str, version: str) -> None:
    """Another implementation makes the same text from the same parts."""
    text = purl(Package(kind="pypi", name=name, version=version), SYSTEM)
    assert text == PackageURL(type="pypi", name=name, version=version).to_string()


# Asking the schema takes a tenth of a second.
@settings(max_examples=30)
@given(
    installed=st.lists(DEBIAN, max_size=5, unique_by=lambda each: each[:2]),
    wheels=st.lists(st.tuples(PYTHON_NAMES, PYTHON_VERSIONS), max_size=3),
    order=st.randoms(use_true_random=False),
)
def test_bills_are_valid_complete_and_repeatable(
    installed: list[tuple[str, str, str]], wheels: list[tuple[str, str]], order: object
) -> None:
    """One component for each package; the order in the database changes no byte."""
    bills = []
    for _ in range(2):
        stanzas = [
            stanza(name, version, Architecture=architecture)
            for name, architecture, version in installed
        ]
        with tempfile.TemporaryDirectory() as made:
            root = debian(Path(made), *stanzas)
            for name, version in wheels:
                wheel(root, name, version)
            system = Distribution(id="debian", version="12")
            expected = {purl(package, system) for package in packages_of(root)}
            bills.append(
                sbom_of(root, image=ImageId("i"), digest=Digest("00" * 32), at=AT)
            )
        order.shuffle(installed)
    assert bills[0] == bills[1]
    assert faults_of(bills[0]) is None
    refs = [each["bom-ref"] for each in json.loads(bills[0])["components"]]
    assert sorted(refs) == sorted({"os:debian:12", *expected})
    assert len(expected) >= len(installed)


@settings(max_examples=30)
@given(name=ANY, version=ANY, source=ANY)
def test_strange_databases_give_valid_bills(
    name: str, version: str, source: str
) -> None:
    """Names that no tool would accept are no reason for a document that none can read."""
    with tempfile.TemporaryDirectory() as made:
        root = debian(Path(made), stanza(name, version, Source=source))
        bill = sbom_of(root, image=ImageId("i"), digest=Digest("00" * 32), at=AT)
    assert faults_of(bill) is None
    assert any(each["name"] == name for each in json.loads(bill)["components"])
