"""Bills of materials: what is in them, what is not, and that their format is kept."""

import json
import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from roots import as_nobody, debian, faults_of, put, stanza, wheel

from immutable.errors import InvalidInput, PermissionDenied
from immutable.images import unbooted
from immutable.images.lock import Pin
from immutable.images.packages import STATUS, distribution_of, packages_of
from immutable.images.sbom import sbom_of
from immutable.model import Digest, ImageId

IMAGE = ImageId("shop-1")
DIGEST = Digest("ab" * 32)
AT = datetime(2026, 11, 23, 5, 30, 1, 999, tzinfo=UTC)
BASH = "pkg:deb/debian/bash@5.2.15-2%2Bb13?arch=amd64&distro=debian-12"


def pin(name: str, version: str, *, architecture: str = "amd64", **more: str) -> Pin:
    """Return the pin of a package."""
    fields = {"file": f"{name}.deb", "sha256": "cd" * 32, "origin": "debian"} | more
    return Pin(
        name=name,
        version=version,
        architecture=architecture,
        size_bytes=1,
        **fields,
    )


def bill(root: Path, *pins: Pin, at: datetime = AT) -> dict:
    """Return the bill of a root, after the official schema has been asked."""
    made = sbom_of(root, image=IMAGE, digest=DIGEST, at=at, pins=pins)
    assert faults_of(made) is None
    return json.loads(made)


def components(root: Path, *pins: Pin) -> dict[str, dict]:
    """Return the components of a root by their references."""
    return {each["bom-ref"]: each for each in bill(root, *pins)["components"]}


def test_debian_package_with_its_source(tmp_path: Path) -> None:
    """A binary package says which source package, of which version, it is made of."""
    source = {"Source": "bash (5.2.15-2)"}
    root = debian(tmp_path, stanza("bash", "5.2.15-2+b13", **source))
    found = components(root)[BASH]
    assert (found["name"], found["version"]) == ("bash", "5.2.15-2+b13")
    value = "pkg:deb/debian/bash@5.2.15-2?arch=source&distro=debian-12"
    assert found["properties"] == [{"name": "immutable:source", "value": value}]


@pytest.mark.parametrize(
    ("source", "expected"),
    [("glibc", ("glibc", "2.36")), ("glibc (2.35)", ("glibc", "2.35"))],
)
def test_source_without_a_version_has_the_packages_own(
    tmp_path: Path, source: str, expected: tuple[str, str]
) -> None:
    """As dpkg writes it: the version is there only where it differs."""
    (found,) = packages_of(debian(tmp_path, stanza("libc6", "2.36", Source=source)))
    assert (found.source, found.source_version) == expected


def test_one_package_of_two_architectures(tmp_path: Path) -> None:
    """Multi-arch: both are listed."""
    both = [stanza("libc6", "2.36", Architecture=arch) for arch in ("amd64", "i386")]
    refs = [ref for ref in components(debian(tmp_path, *both)) if "libc6" in ref]
    assert [ref.partition("arch=")[2] for ref in refs] == [
        "amd64&distro=debian-12",
        "i386&distro=debian-12",
    ]


@pytest.mark.parametrize(
    ("status", "there"),
    [
        ("install ok installed", True),
        ("install reinstreq half-configured", True),
        ("install ok triggers-pending", True),
        ("deinstall ok config-files", False),
        ("unknown ok not-installed", False),
    ],
)
def test_only_what_is_there_is_listed(
    tmp_path: Path, status: str, *, there: bool
) -> None:
    """A half-installed package is in the image; the leftovers of a removed one are not."""
    root = debian(tmp_path, stanza("vim", "9", Status=status))
    assert [package.name for package in packages_of(root)] == ["vim"] * there


@pytest.mark.parametrize("missing", ["Package", "Version", "Status"])
def test_damaged_database_is_told(tmp_path: Path, missing: str) -> None:
    """A bill that passes over what it cannot read would be wrong."""
    text = stanza("vim", "9").replace(f"{missing}:", "Nothing:")
    root = debian(tmp_path, stanza("bash", "5"), text)
    with pytest.raises(InvalidInput, match=f"has no {missing}"):
        packages_of(root)


def test_python_package_in_two_places_is_one_component(tmp_path: Path) -> None:
    """The package is listed once, with both places; the name is normalised."""
    for where in ("srv/a", "srv/b"):
        wheel(tmp_path, "Zope_Event", "5.0", where)
    found = components(tmp_path)["pkg:pypi/zope-event@5.0"]
    assert [each["location"] for each in found["evidence"]["occurrences"]] == [
        "/srv/a/Zope_Event-5.0.dist-info",
        "/srv/b/Zope_Event-5.0.dist-info",
    ]


def test_python_packages_of_other_kinds(tmp_path: Path) -> None:
    """Eggs as directories and as files; what the metadata leave out, the name says."""
    put(tmp_path, "a/one.egg-info/PKG-INFO", "Name: one\nVersion: 1\n")
    put(tmp_path, "a/two-2.egg-info", "Name: two\nVersion: 2\n\nVersion: 3\n")
    put(tmp_path, "a/three-3.dist-info/METADATA", "Keywords: none\n")
    put(tmp_path, "a/four-4.dist-info/RECORD")
    put(tmp_path, "a/five.dist-info/METADATA", "Name: five\n")
    found = {(package.name, package.version) for package in packages_of(tmp_path)}
    assert found == {("one", "1"), ("two", "2"), ("three", "3"), ("five", "")}
    assert "pkg:pypi/five" in components(tmp_path)


def test_names_that_are_no_text(tmp_path: Path) -> None:
    """A directory whose name is not UTF-8 is told as far as it can be."""
    made = wheel(tmp_path, "one", "1")
    made.rename(os.fsdecode(os.fsencode(made.parent) + b"/\xff-1.dist-info"))
    (found,) = packages_of(tmp_path)
    assert found.place == "/srv/venv/\N{REPLACEMENT CHARACTER}-1.dist-info"
    assert "pkg:pypi/one@1" in components(tmp_path)


def test_hashes_come_from_pins(tmp_path: Path) -> None:
    """Name, version and architecture have to agree."""
    root = debian(tmp_path, stanza("bash", "5.2.15-2+b13"), stanza("vim", "9"))
    wheel(root, "flask", "3.0")
    found = components(
        root,
        pin("bash", "5.2.15-2+b13"),
        pin("vim", "8"),
        pin("vim", "9", architecture="i386"),
        pin("Flask", "3.0", architecture="", file="flask.whl", sha256="ef" * 32),
    )
    hashes = {each["name"]: each.get("hashes") for each in found.values()}
    assert hashes == {
        "bash": [{"alg": "SHA-256", "content": "cd" * 32}],
        "vim": None,
        "flask": [{"alg": "SHA-256", "content": "ef" * 32}],
        "debian": None,
    }


def test_pins_that_contradict_each_other_give_no_hash(tmp_path: Path) -> None:
    """Which of two wheels was installed, a version does not say."""
    wheel(tmp_path, "flask", "3.0")
    both = [
        pin("flask", "3.0", architecture="", file="f.whl", sha256=digit * 64)
        for digit in "12"
    ]
    assert "hashes" not in components(tmp_path, *both)["pkg:pypi/flask@3.0"]


def test_what_the_document_says_of_the_image(tmp_path: Path) -> None:
    """The image with its digest, when, and that files without a package are not listed."""
    zone = timezone(timedelta(hours=2))
    document = bill(debian(tmp_path), at=AT.astimezone(zone))
    metadata = document["metadata"]
    assert metadata["timestamp"] == "2026-11-23T05:30:01Z"
    assert metadata["component"]["hashes"][0]["content"] == DIGEST
    assert document["compositions"] == [
        {"aggregate": "incomplete", "assemblies": [IMAGE]}
    ]
    assert [each["name"] for each in document["components"]] == ["debian"]


def test_serial_number_is_the_images(tmp_path: Path) -> None:
    """Another image has another number; the same one has the same."""
    serials = [
        json.loads(sbom_of(tmp_path, image=IMAGE, digest=Digest(digest), at=AT))
        for digest in (DIGEST, DIGEST, "cd" * 32)
    ]
    first, again, other = (each["serialNumber"] for each in serials)
    assert first == again != other


def test_time_without_a_zone_is_refused(tmp_path: Path) -> None:
    """It would mean something else on each machine."""
    with pytest.raises(InvalidInput, match="no zone"):
        bill(tmp_path, at=AT.replace(tzinfo=None))


def test_empty_root_has_an_empty_bill(tmp_path: Path) -> None:
    """No database, no packages, and still a valid document."""
    assert components(tmp_path) == {}


def test_another_distribution_is_the_vendor(tmp_path: Path) -> None:
    """The purl says whose package it is."""
    put(tmp_path, STATUS, stanza("bash", "5"))
    assert "pkg:deb/debian/bash@5?arch=amd64" in components(tmp_path)
    put(tmp_path, "etc/os-release", "ID=ubuntu\nVERSION_ID='24.04'\n")
    assert distribution_of(tmp_path).version == "24.04"
    ref = "pkg:deb/ubuntu/bash@5?arch=amd64&distro=ubuntu-24.04"
    assert ref in components(tmp_path)


# -- links


def test_links_stay_inside_the_root(tmp_path: Path) -> None:
    """Absolute and climbing links mean places in the image, as in a chroot."""
    outside = put(tmp_path, STATUS, stanza("evil", "1"))
    root = tmp_path / "root"
    put(root, "usr/lib/sysimage/status", stanza("good", "1"))
    (root / "var/lib").mkdir(parents=True)
    for target in ("/usr/lib/sysimage", "../../../../../usr/lib/sysimage"):
        (root / "var/lib/dpkg").symlink_to(target)
        assert [package.name for package in packages_of(root)] == ["good"]
        (root / "var/lib/dpkg").unlink()
    (root / "var/lib/dpkg").symlink_to(outside.parent)
    assert packages_of(root) == ()


def test_links_in_a_circle_lead_nowhere(tmp_path: Path) -> None:
    """They are given up, like the kernel does, and there are no packages there."""
    (tmp_path / "var").symlink_to("b")
    (tmp_path / "b").symlink_to("/var")
    with pytest.raises(unbooted.OutOfReach, match="too many links"):
        unbooted.find(tmp_path, STATUS)
    assert packages_of(tmp_path) == ()


def test_linked_metadata_are_read_inside_the_root(tmp_path: Path) -> None:
    """Some installers link each file of a package to a store."""
    put(tmp_path, "store/METADATA", "Name: one\nVersion: 1\n")
    made = wheel(tmp_path, "one", "2")
    (made / "METADATA").unlink()
    (made / "METADATA").symlink_to("/store/METADATA")
    (tmp_path / "again-1.dist-info").symlink_to(made)
    (found,) = packages_of(tmp_path)
    assert (found.name, found.version) == ("one", "1")


def test_pipes_are_not_read(tmp_path: Path) -> None:
    """A FIFO in place of the database would never end."""
    put(tmp_path, STATUS).unlink()
    os.mkfifo(tmp_path / STATUS)
    assert packages_of(tmp_path) == ()


def test_huge_database_is_refused(tmp_path: Path) -> None:
    """It is not read into memory."""
    os.truncate(put(tmp_path, STATUS), 1 << 40)
    with pytest.raises(InvalidInput, match="1099511627776 bytes"):
        packages_of(tmp_path)


def test_long_names_are_told(tmp_path: Path) -> None:
    """What the operating system cannot look up is an error, not an empty list."""
    (tmp_path / "etc").symlink_to("x" * 300)
    with pytest.raises(InvalidInput, match="cannot be read"):
        distribution_of(tmp_path)


@pytest.mark.parametrize("path", ["var", "srv", STATUS])
def test_what_may_not_be_read_is_told(path: str) -> None:
    """A bill that leaves out what is closed would be wrong."""
    with as_nobody() as own:
        wheel(debian(own, stanza("bash", "5")), "one", "1")
        (own / path).chmod(0)
        with pytest.raises(PermissionDenied, match="cannot be read"):
            packages_of(own)
        (own / path).chmod(0o700)
