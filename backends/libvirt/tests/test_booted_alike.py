"""What a machine of its own leaves is what a chroot leaves, byte for byte."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from immutable.errors import Unsupported
from immutable.images.layers import Ansible, Cfengine, Layer
from immutable.images.recipe import Recipe
from immutable.model import Image
from immutable_libvirt.archive import Archive
from immutable_libvirt.bootable import BootFiles
from immutable_libvirt.building import erofs, provisioning
from immutable_libvirt.building.booted import Booted
from immutable_libvirt.building.chroot import Chroot
from immutable_libvirt.building.inside import Inside
from immutable_libvirt.building.manifest import load
from immutable_libvirt.building.provisioning import Site
from immutable_libvirt.config import LibvirtConfig
from immutable_libvirt.images import LibvirtImages, boot_files
from immutable_libvirt.pool import Pool

pytestmark = pytest.mark.vm
BASE = Recipe.base("debian:12")
CHANGES = r"""
# the same in a machine of its own as in a chroot
test $(hostname) = image
test $(grep -c : /proc/net/dev) = 1
test "$(cat /etc/below)" = below
test ! -t 1
env | sort >/opt/environment
# one of each thing that a layer may hold
cd /opt
echo plain >plain; chmod 640 plain; chown 33:70000 plain; ln plain hard
ln -s ../etc/passwd link; ln -s "dangling target" "a link"; mkfifo fifo; : >nothing
mkdir empty; mkdir -m 2775 setgid; mkdir -m 1777 sticky
cp /bin/true suid; chmod 4755 suid
for name in -rf " space " "$(printf 'new\nline')" "$(printf '\377\376')" "=%3D"; do
    printf x >"./$name"
done
deep=$(printf 'd%.0s' $(seq 250))/$(printf 'e%.0s' $(seq 200))
mkdir -p "$deep"; echo long >"$deep/file"
dd if=/dev/zero of=sparse bs=1 count=1 seek=300000 2>/dev/null
cat >/tmp/attributes <<'P'
sub set {
    my ($path, $name, $value) = @_;
    my $length = length $value;
    syscall(188, $path, $name, $value, $length, 0) == 0 or die "$name: $!";
}
set("/opt/suid", "security.capability", "\x01\x00\x00\x02\x00\x20" . "\x00" x 14);
set("/opt/plain", "user.odd=%3Dname", "a\n=\x00\xff b");
set("/opt/empty", "trusted.mine", "v");
P
perl /tmp/attributes
# deletions: of files and directories, by renaming, and a directory made anew
rm /etc/shells /etc/profile /etc/below /usr/bin/tac
rm -r /etc/cron.daily /etc/skel; mkdir /etc/skel; echo new >/etc/skel/new
mv /etc/issue /etc/issue.moved
chmod 600 /etc/passwd; chown 1000:1000 /home; touch -h -d @1 plain
echo done
"""


@pytest.fixture(scope="module")
def images(prepared: LibvirtImages) -> LibvirtImages:
    """Return the images of the tests' pool, which has its base."""
    return prepared


@contextmanager
def built(images: LibvirtImages, recipe: Recipe) -> Iterator[tuple[Image, list[str]]]:
    """Build an image for the time of a test; with the lines that this printed."""
    lines: list[str] = []
    image = images.build(recipe, on_output=lines.append)
    try:
        yield image, lines
    finally:
        images.delete(image.id)


def newest_layer(images: LibvirtImages, image: Image) -> Path:
    """Return the uppermost disk of an image; its name is its contents' digest."""
    return boot_files(images.pool, image.id).layers[-1]


def test_equal_work_makes_equal_layers(images: LibvirtImages, tmp_path: Path) -> None:
    """What a chroot and a machine leave is the same bytes, whatever a layer may hold."""
    below = BASE.run("echo below >/etc/below")
    changes = f"{CHANGES}# and never built before: {tmp_path}"
    with (
        built(images, below.run(changes)) as (chroot, lines),
        built(images, below.run(changes, booted=True)) as (booted, same_lines),
    ):
        assert newest_layer(images, booted) == newest_layer(images, chroot)
        assert booted == chroot
        assert same_lines == lines == ["done"]


@pytest.mark.matrix
def test_a_booted_layer_is_built_again_from_its_record(images: LibvirtImages) -> None:
    """Also where its machine boots layers that are still in somebody's workspace."""
    with built(images, BASE.run("uname -r >/etc/kernel", booted=True)) as (image, _):
        again = images.rebuild(image.id, on_output=lambda _line: None)
        assert again.is_identical


POLICY = """
bundle agent __main__ {
  files: "/srv/shop/role" create => "true", edit_line => role;
}
bundle edit_line role {
  insert_lines: "web";
}
"""


@pytest.mark.matrix
def test_a_tool_is_run_alike_in_both(images: LibvirtImages, tmp_path: Path) -> None:
    """What CFEngine's module says to run leaves the same layer in either place."""
    (tmp_path / "policy").mkdir()
    (tmp_path / "policy" / "shop.cf").write_text(POLICY)
    layer = Cfengine(source=tmp_path / "policy", policy="shop.cf")
    with built(images, BASE.packages("cfengine3")) as (image, _):
        places_to_run = both(images, image, tmp_path)
        digests = {made_in(place, layer, images) for place in places_to_run}
    assert len(digests) == 1


def test_ansible_reaches_no_machine_of_its_own(tmp_path: Path) -> None:
    """It runs on this machine, where nothing of the other one is mounted."""
    nothing = BootFiles(kernel=tmp_path, initrd=tmp_path, layers=(), command_line="")
    config = LibvirtConfig(pool=tmp_path)
    inside = Booted(below=(), work=tmp_path, boot=nothing, config=config)
    layer = Ansible(source=tmp_path, playbook="site.yml")
    with pytest.raises(Unsupported, match="mounted"):
        provisioning.make(layer, site_in(inside, Pool(tmp_path)))


@pytest.mark.matrix
def test_what_is_handed_over_is_found_alike(
    images: LibvirtImages, tmp_path: Path
) -> None:
    """Files, trees and links to them, read-only or not, and variables."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_text("in the tree\n")
    (tmp_path / "link").symlink_to("tree")
    names = {"file": "tree/file", "tree": "tree", "link": "link", "own:rw": "tree"}
    handed = {name: tmp_path / path for name, path in names.items()}
    command = """
        cat /run/file /run/tree/file /run/link/file /run/own/file; echo "$X $HOME"
        ! touch /run/file || exit 1
        ! touch /run/tree/new || exit 1
        touch /run/own/new; ls -A /run /run/own >/etc/found
    """
    image = images.build(BASE, on_output=lambda _line: None)
    said: list[list[str]] = []
    for inside in both(images, image, tmp_path):
        lines: list[str] = []
        inside.work.mkdir()
        inside.run(
            ["/bin/sh", "-ec", command],
            what="looking",
            handed=handed,
            variables={"X": "a 'b' $c", "HOME": "/x"},
            on_output=lines.append,
        )
        said.append([*lines, (inside.upper / "etc/found").read_text()])
    assert said[0] == said[1]
    assert "a 'b' $c /x" in said[1]


def both(images: LibvirtImages, image: Image, work: Path) -> tuple[Inside, ...]:
    """Return a chroot of an image, and a machine."""
    manifest = load(Pool(images.pool), image.id)
    assert manifest is not None
    below = tuple(Pool(images.pool).tree(tree) for tree in reversed(manifest.trees))
    boot = boot_files(images.pool, image.id)
    return (
        Chroot(below=below, work=work / "chroot"),
        Booted(below=below, work=work / "booted", boot=boot, config=images.config),
    )


def site_in(inside: Inside, pool: Pool) -> Site:
    """Return where a tool can make a layer."""
    scratch = inside.work / "scratch"
    scratch.mkdir(parents=True)
    return Site(
        inside=inside,
        pool=pool,
        archive=Archive.of(pool),
        codename="bookworm",
        work=scratch,
        pins=None,
        on_output=lambda _line: None,
    )


def made_in(inside: Inside, layer: Layer, images: LibvirtImages) -> str:
    """Return the digest of a layer that a tool makes somewhere."""
    provisioning.make(layer, site_in(inside, Pool(images.pool)))
    assert (inside.upper / "srv/shop/role").read_text() == "web\n"
    erofs.make(inside.upper, inside.work / "layer", on_output=lambda _line: None)
    return erofs.content_digest(inside.work / "layer")


def test_chroots_and_machines_are_called_alike() -> None:
    """What describes a run for one of them does so for the other."""
    shapes = [inspect.signature(kind.run) for kind in (Inside, Chroot, Booted)]
    assert shapes[0] == shapes[1] == shapes[2]
