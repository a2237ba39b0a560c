"""Apt sources: both forms are understood, and rewritten for another release."""

from immutable_libvirt.building.sources import parse_deb822, parse_list, rewritten

DEB822 = """\
# mirror of the house
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates bookworm-backports
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc

Types: deb
URIs: http://other.example/
Suites: stable
Enabled: no
"""


def test_stanzas_keep_their_long_values() -> None:
    """A key given in the file itself survives."""
    first, second = parse_deb822(DEB822)
    assert first["Uris"] == "http://mirror.example/debian"
    assert first["Signed-By"].endswith(" abc")
    assert second["Enabled"] == "no"


def test_one_line_sources_become_stanzas() -> None:
    """Options, several components and comments are understood; others are left out."""
    text = "deb [arch=amd64,i386 signed-by=/k.gpg] http://m/d bookworm main contrib # x"
    assert list(
        parse_list(f"{text}\ndeb-src http://m/d bookworm main\n# deb a b c")
    ) == [
        {
            "Architectures": "amd64 i386",
            "Components": "main contrib",
            "Signed-By": "/k.gpg",
            "Suites": "bookworm",
            "Types": "deb",
            "Uris": "http://m/d",
        }
    ]


def test_suites_are_those_of_the_other_release() -> None:
    """Only the release itself, its updates and its security fixes are followed."""
    first, second = parse_deb822(DEB822)
    assert rewritten(first, "bookworm", "trixie")["Suites"] == "trixie trixie-updates"
    assert rewritten(first, "bookworm", "trixie")["Types"] == "deb"
    assert rewritten(second, "stable", "trixie")["Suites"] == ""


def test_a_host_that_is_no_debian_offers_nothing() -> None:
    """Another distribution's suites are never taken for Debian's."""
    (stanza,) = parse_list("deb http://m/ubuntu noble main")
    assert rewritten(stanza, "", "trixie")["Suites"] == ""
