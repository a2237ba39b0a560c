"""Python layers: wheels that are found, kept, and installed without a trace of pip."""

import hashlib
import os
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from immutable.errors import BuildFailed, InvalidInput, Unavailable
from immutable.images.layers import Python
from immutable.images.lock import Entry, Pin
from immutable.images.recipe import Recipe
from immutable.model import Digest
from immutable_libvirt.archive import Archive
from immutable_libvirt.building.chroot import Chroot
from immutable_libvirt.building.provisioning import Site, check, python, version
from immutable_libvirt.building.provisioning.wheels import (
    INSTALLER,
    fetch,
    pip_version,
)
from immutable_libvirt.pool import Pool

SHOP = "def main():\n    import tool\n    print('the shop', tool.NAME)\n"
NEEDS = (
    'tool; python_version < "3.12"',
    'absent-one; python_version >= "3.12" and python_version < "3.13"',
    'absent-two; sys_platform == "win32"',
)
# What this machine's pip is configured to look at, in front of what a test has made.
LINKS = os.environ.get("PIP_FIND_LINKS", "")


def wheel(
    folder: Path,
    name: str,
    version: str,
    tag: str = "py3-none-any",
    *,
    code: str = "",
    needs: tuple[str, ...] = (),
    scripts: str = "",
) -> Path:
    """Write a wheel of one module."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"]
    metadata += [f"Requires-Dist: {need}\n" for need in needs]
    files = {
        f"{name}.py": code,
        f"{info}/METADATA": "".join(metadata),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n",
        f"{info}/entry_points.txt": scripts,
    }
    files[f"{info}/RECORD"] = "".join(
        f"{path},,\n" for path in [*files, f"{info}/RECORD"]
    )
    made = folder / f"{name}-{version}-{tag}.whl"
    with zipfile.ZipFile(made, "w") as archive:
        for path, text in files.items():
            archive.writestr(zipfile.ZipInfo(path), text)  # of 1980, always
    return made


@pytest.fixture
def links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder that pip looks into besides its own places."""
    folder = tmp_path / "links"
    scripts = "[console_scripts]\nshop = shop:main\n"
    wheel(folder, "shop", "1.0", code=SHOP, needs=NEEDS, scripts=scripts)
    wheel(
        folder, "tool", "2.1", "cp311-cp311-manylinux_2_28_x86_64", code="NAME = 'old'"
    )
    wheel(folder, "tool", "2.0", code="NAME = 'older'")
    wheel(
        folder, "tool", "2.2", "cp313-cp313-manylinux_2_40_x86_64", code="NAME = 'new'"
    )
    wheel(folder, "tool", "2.3", "cp311-cp311-win_amd64")
    monkeypatch.setenv("PIP_FIND_LINKS", f"{LINKS} {folder}")
    return folder


@pytest.fixture
def offline(links: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the same folder when pip can look nowhere else."""
    monkeypatch.setenv("PIP_FIND_LINKS", str(links))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return links


@pytest.fixture
def without_index(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return what lets pip look nowhere any more."""

    def cut() -> None:
        monkeypatch.setenv("PIP_FIND_LINKS", "")
        monkeypatch.setenv("PIP_NO_INDEX", "1")

    return cut


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Return a place for a layer upon nothing, that has the installer already."""
    return made_site(tmp_path, "bookworm")


def made_site(tmp_path: Path, codename: str, entry: Entry | None = None) -> Site:
    """Return a place for a layer upon nothing, in a pool for the test."""
    pool = Pool(tmp_path / "pool")
    pool.prepare()
    (pool.cache("pip") / f"pip-{pip_version()}-py3-none-any.whl").write_text("pip")
    work = tmp_path / f"work-{codename}-{entry is not None}"
    (work / "scratch").mkdir(parents=True)
    lines: list[str] = []
    return Site(
        inside=Chroot(below=(), work=work),
        pool=pool,
        archive=Archive.of(pool),
        codename=codename,
        work=work / "scratch",
        pins=entry,
        on_output=lines.append,
    )


def layer(folder: Path, *lines: str, version: str = "3.11") -> Python:
    """Return a layer with these requirements."""
    path = folder / "requirements.txt"
    path.write_text("".join(f"{line}\n" for line in lines))
    return Python(version=version, requirements=path)


def shop(folder: Path) -> Path:
    """Return a file that asks for the shop."""
    (folder / "requirements.txt").write_text("shop>=1\n")
    return folder / "requirements.txt"


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def names(pins: tuple[Pin, ...]) -> list[str]:
    """Return names and versions of wheels, the installer left out."""
    return [f"{pin.name}=={pin.version}" for pin in pins if pin.origin != INSTALLER]


def test_wheels_are_those_of_the_image(
    site: Site, offline: Path, tmp_path: Path
) -> None:
    """Tags and markers are those of its Python, whatever Python this one is."""
    assert names(python.resolve(layer(tmp_path, "shop"), site)) == [
        "shop==1.0",
        "tool==2.1",
    ]
    later = made_site(tmp_path, "trixie")
    wanted = layer(tmp_path, "shop", "tool", version="3.13")
    assert names(python.resolve(wanted, later)) == ["shop==1.0", "tool==2.2"]


def test_what_is_found_is_kept_by_its_hash(
    site: Site, offline: Path, tmp_path: Path
) -> None:
    """Wheels, and the pip that installs them, are in the archive afterwards."""
    pins = python.resolve(layer(tmp_path, "tool==2.0"), site)
    tool, own = pins
    assert tool.sha256 == digest(offline / tool.file)
    assert tool.size_bytes == (offline / tool.file).stat().st_size
    assert (own.name, own.version, own.origin) == ("pip", pip_version(), INSTALLER)
    for pin in pins:
        kept = site.archive.package(pin.sha256)
        assert kept is not None
        assert digest(kept) == pin.sha256


def test_a_hash_that_does_not_match_is_refused(
    site: Site, offline: Path, tmp_path: Path
) -> None:
    """A requirement with a hash takes the file that has it, and no other."""
    good = digest(offline / "tool-2.0-py3-none-any.whl")
    wanted = layer(tmp_path, f"tool==2.0 \\\n    --hash=sha256:{good}")
    assert names(python.resolve(wanted, site)) == ["tool==2.0"]
    again = made_site(tmp_path, "bookworm", Entry(layer=Digest(""), what="", pins=()))
    with pytest.raises(BuildFailed, match="DO NOT MATCH THE HASHES"):
        python.resolve(layer(tmp_path, f"tool==2.0 --hash=sha256:{'0' * 64}"), again)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("no-such-one", "No matching distribution found for no-such-one"),
        ("sources", "No matching distribution found for sources"),
    ],
)
def test_what_has_no_wheel_shows_what_pip_said(
    site: Site, offline: Path, tmp_path: Path, wanted: str, said: str
) -> None:
    """Unknown names, and packages that are sources alone."""
    with tarfile.open(offline / "sources-1.0.tar.gz", "w:gz"):
        pass
    with pytest.raises(BuildFailed, match="finding wheels failed") as caught:
        python.resolve(layer(tmp_path, wanted), site)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "-r others.txt",
        "--index-url https://example.com/simple",
        "-e .",
        "./shop-1.0-py3-none-any.whl",
        "shop @ file:///tmp/shop.whl",
        "git+https://example.com/shop",
        "https://example.com/shop-1.0-py3-none-any.whl",
    ],
)
def test_requirements_are_names_with_versions(
    site: Site, tmp_path: Path, line: str
) -> None:
    """What would depend on more than an index is refused before anything is fetched."""
    with pytest.raises(InvalidInput, match="is no name with a version"):
        python.resolve(layer(tmp_path, line), site)


def test_a_version_that_the_release_lacks_is_refused(
    site: Site, tmp_path: Path
) -> None:
    """The error says which one it has."""
    with pytest.raises(BuildFailed, match=r"bookworm has Python 3\.11, not 3\.13"):
        python.resolve(layer(tmp_path, "tool", version="3.13"), site)


def test_without_pip_it_says_what_to_install(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command is one that can be pasted."""
    wanted = layer(tmp_path, "tool")
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(Unavailable) as caught:
        python.resolve(wanted, site)
    assert '"immutable-deploy-libvirt[python]"' in caught.value.hint
    with pytest.raises(Unavailable, match="need pip"):
        check(wanted, is_pinned=False)
    check(wanted, is_pinned=True)


def test_without_requirements_no_pip_is_needed(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An interpreter alone is the distribution's business."""
    monkeypatch.setattr(sys, "path", [])
    alone = Python(version="3.11")
    check(alone, is_pinned=False)
    assert version(alone, site) is None


def test_a_wheel_that_the_archive_lost_is_fetched_again(
    site: Site, offline: Path, tmp_path: Path
) -> None:
    """By its hash; what is to be had nowhere any more is an error that names it."""
    tool, _ = python.resolve(layer(tmp_path, "tool==2.0"), site)
    kept = site.archive.root / "packages" / tool.sha256
    kept.chmod(0o600)
    kept.write_text("damaged")
    assert digest(fetch(tool, site)) == tool.sha256
    kept.unlink()
    (offline / tool.file).unlink()
    wheel(offline, "tool", "2.0", code="NAME = 'another one of this version'")
    again = attrs.evolve(site, work=tmp_path)
    with pytest.raises(BuildFailed, match=r"fetching tool-2\.0-py3-none-any\.whl"):
        fetch(tool, again)


def test_an_image_without_the_python_is_refused(site: Site, tmp_path: Path) -> None:
    """Before anything is fetched."""
    with pytest.raises(Unavailable, match=r"no /usr/bin/python3\.11"):
        python.make(layer(tmp_path, "tool"), site)


@pytest.mark.vm
def test_requirements_become_an_environment(
    workshop,
    with_agents: Recipe,
    links: Path,
    tmp_path: Path,
    without_index: Callable[[], None],
) -> None:
    """It runs in the image, and holds nothing of pip; what is locked needs no index."""
    recipe = with_agents.python("3.11", requirements=shop(tmp_path))
    locked = recipe.locked(workshop.images.lock(recipe, on_output=print))
    without_index()
    with workshop.built(locked) as (_, made):
        packages = made / "opt/venv/lib/python3.11/site-packages"
        found = {path.name for path in packages.iterdir()}
        script = (made / "opt/venv/bin/shop").read_text()
        assert script.startswith("#!/opt/venv/bin/python")
        assert not list(made.rglob("__pycache__"))
        assert not list(made.rglob("*.pyc"))
        says = "/opt/venv/bin/shop >/etc/said"
        with workshop.built(locked.run(says)) as (_, above):
            assert (above / "etc/said").read_text() == "the shop old\n"
    assert found == {"shop.py", "shop-1.0.dist-info", "tool.py", "tool-2.1.dist-info"}


@pytest.mark.vm
@pytest.mark.matrix
def test_requirements_become_the_same_environment_again(
    workshop,
    with_agents: Recipe,
    links: Path,
    tmp_path: Path,
    without_index: Callable[[], None],
) -> None:
    """From a lock, without any index, the same bytes: made, and not found."""
    recipe = with_agents.python("3.11", requirements=shop(tmp_path))
    locked = recipe.locked(workshop.images.lock(recipe, on_output=print))
    with workshop.built(recipe) as (first, _):
        pass
    without_index()
    with workshop.built(locked) as (second, _):
        assert workshop.lines
        assert second.digest == first.digest


@pytest.mark.vm
@pytest.mark.matrix
def test_requirements_without_wheels_fail_the_build(
    workshop, with_agents: Recipe, offline: Path, tmp_path: Path
) -> None:
    """With pip's last lines, before anything is installed."""
    wanted = layer(tmp_path, "no-such-one").requirements
    with pytest.raises(BuildFailed, match="No matching distribution") as caught:
        workshop.build(with_agents.python("3.11", requirements=wanted))
    assert "no-such-one" in str(caught.value)
