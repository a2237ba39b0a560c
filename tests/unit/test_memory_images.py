"""memory://: how images were made, locks, roots and rebuilding, without building anything."""

import hashlib
import json
import re
import stat

import pytest

import immutable
from immutable import errors
from immutable.images import packages, unbooted
from immutable.images.finding import recorder
from immutable.images.lock import Lock
from immutable.images.origins import Existing
from immutable.images.recipe import Recipe
from immutable.registry import open_backend
from immutable.testing import Fault, Killed, Script, forget, world

BASE = Recipe.base("debian:12")


@pytest.fixture
def lab(request):
    """Return a world of this test's own."""
    address = f"memory://{re.sub('[^a-z0-9]+', '-', request.node.name)}"
    yield world(address)
    forget(address)


@pytest.fixture
def address(lab):
    """Return the world's address."""
    return f"memory://{lab.name}"


@pytest.fixture
def app(tmp_path):
    """Return a directory with a program, a link, and a directory that is read-only."""
    made = tmp_path / "app"
    (made / "data").mkdir(parents=True)
    (made / "run").write_text("#!/bin/sh\n")
    (made / "run").chmod(0o755)
    (made / "left-out.pyc").touch()
    (made / "data" / "words").write_text("hello\n")
    (made / "link").symlink_to("data/words")
    (made / "data").chmod(0o555)
    return made


def ignore(line):
    """Take a line of output."""


def build(recipe, address):
    """Build by the public call."""
    return immutable.build(recipe, backend=address)


def read(lab, image, path):
    """Return a text in an image's root."""
    with lab.backend.images.root(image.id) as root:
        return unbooted.read(root, path)


def test_a_lock_is_made_of_the_names_of_packages(address):
    """Versions that are asked for stay; the others are made up, for ever the same."""
    recipe = BASE.packages("nginx", "curl=8.1").python("3.11").run("true")
    lock = recipe.lock(backend=address)
    found = [(pin.name, pin.version) for e in lock.entries for pin in e.pins]
    assert found == [
        ("base-files", "12"),
        ("curl", "8.1"),
        ("nginx", "1.0"),
        ("python3", "3.11"),
    ]
    assert recipe.lock(backend="memory://somewhere-else") == lock
    assert Lock.from_json(lock.to_json()) == lock
    forget("memory://somewhere-else")


def test_a_lock_of_a_branch_keeps_what_was_locked(address):
    """Only the layers that are new are looked up."""
    recipe = BASE.packages("nginx")
    lock = recipe.lock(backend=address)
    more = recipe.locked(lock).packages("curl").lock(backend=address)
    assert more.entries[:-1] == lock.entries
    assert [pin.name for pin in more.entries[-1].pins] == ["curl"]
    assert recipe.locked(lock).digest != recipe.digest


def test_a_locked_recipe_is_deployed_and_its_record_has_the_lock(lab, address):
    """What runs is what was locked, as its record says."""
    shop = immutable.Service("shop", backend=address, ports=80)
    recipe = BASE.packages("nginx")
    locked = recipe.locked(recipe.lock(backend=address))
    done = immutable.deploy(shop, locked)
    image = done.release.image
    record = recorder(open_backend(address)).record(image.id)
    assert record.lock == locked.pins
    assert record.image == image
    assert record.built_at == image.built_at <= lab.now
    assert image.recipe == locked.digest


def test_what_a_world_does_not_keep_is_refused():
    """Without the capability there is no lock, and nothing was asked."""
    lab = world("memory://keeps-nothing?keeps_records=no")
    with pytest.raises(errors.Unsupported, match="keeps_records"):
        BASE.lock(backend="memory://keeps-nothing")
    assert not lab.calls
    forget("memory://keeps-nothing")


def test_a_root_holds_what_the_layers_place(lab, address, app):
    """Files with their modes and links, users, services, units, packages, the system."""
    unit = app.parent / "shop.service"
    unit.write_text("[Service]\n")
    recipe = (
        BASE.packages("nginx")
        .user("web", home="/srv/web")
        .user("shop")
        .files(app, "/srv/app", exclude=["*.pyc"])
        .files(app / "run", "/usr/bin/run")
        .unit(unit)
        .service("www", "/srv/app/run --fast", environment={"GREETING": "good day"})
        .run("touch /nothing-is-run")
    )
    image = build(recipe, address)
    with lab.backend.images.root(image.id) as root:
        assert packages.distribution_of(root).version == "12"
        assert [p.name for p in packages.packages_of(root)] == ["base-files", "nginx"]
        assert stat.S_IMODE((root / "srv/app/run").stat().st_mode) == 0o755
        assert stat.S_IMODE((root / "srv/app/data").stat().st_mode) == 0o555
        assert (root / "srv/app/link").readlink().name == "words"
        assert (root / "srv/app/link").read_text() == "hello\n"
        assert not (root / "srv/app/left-out.pyc").exists()
        assert (root / "usr/bin/run").read_text() == "#!/bin/sh\n"
        assert (root / "etc/systemd/system/shop.service").exists()
        accounts = (root / "etc/passwd").read_text().splitlines()
        assert accounts[0] == "web:x:1000:1000::/srv/web:/usr/sbin/nologin"
        assert accounts[1].startswith("shop:x:1001:")
        assert (root / "srv/web").is_dir()
        script = (root / "usr/lib/immutable/services/www").read_text()
        assert script.endswith("GREETING='good day'\nexec /srv/app/run --fast\n")
        assert not (root / "nothing-is-run").exists()
    assert not root.exists()


def test_an_image_upon_another_holds_both(lab, address, tmp_path):
    """The later layer wins; the parent may be gone by then."""
    (tmp_path / "one").write_text("one")
    (tmp_path / "two").write_text("two")
    files = BASE.files(tmp_path / "one", "/etc/a").files(tmp_path / "one", "/etc/b")
    below = build(files, address)
    above = build(Recipe.on(below).files(tmp_path / "two", "/etc/b"), address)
    lab.backend.images.delete(below.id)
    assert above.parent == below.id
    assert (read(lab, above, "/etc/a"), read(lab, above, "/etc/b")) == ("one", "two")


def test_nothing_is_built_upon_what_is_not_there(lab, address):
    """A parent that is gone, or is another image by now, is not built upon."""
    below = build(BASE.run("true"), address)
    lab.backend.images.delete(below.id)
    with pytest.raises(errors.UnknownImage, match=below.id):
        build(Recipe.on(below).run("true"), address)
    shop = lab.image("shop-1")
    another = Existing(image=shop.id, content=lab.image("shop-2").digest)
    with pytest.raises(errors.BuildFailed, match="another image"):
        build(Recipe(origin=another).run("true"), address)
    assert {image.id for image in lab.backend.images.list()} == {"shop-1", "shop-2"}


def test_an_image_is_made_again_without_its_files(lab, address, app):
    """Its record and what is kept suffice; it is as it was, with or without a lock."""
    recipe = BASE.files(app, "/srv/app").packages("nginx")
    plain = build(recipe, address)
    locked = build(recipe.locked(recipe.lock(backend=address)), address)
    (app / "data").chmod(0o755)
    (app / "data" / "words").write_text("something else\n")
    images = lab.backend.images
    for image in (plain, locked):
        images.delete(image.id)
        rebuilt = images.rebuild(image.id, on_output=ignore)
        assert str(rebuilt) == f"{image.id}: identical"
        assert images.find(image.id) == image
        assert read(lab, image, "/srv/app/data/words") == "hello\n"
    assert [image.id for image in images.list()] == [plain.id, locked.id]


def test_a_killed_build_leaves_an_image_with_its_record_or_nothing(lab, address):
    """Wherever it dies, what is found is known."""
    for point in (1, 2):
        recipe = BASE.run(f"echo {point}")
        lab.kill_deployer(at=point)
        with pytest.raises(Killed):
            lab.host.aside(lambda made=recipe: build(made, address), lambda: None)
    images = lab.backend.images
    assert len(images.list()) == 1
    assert all(images.record(image.id).image == image for image in images.list())
    assert [name.partition("/")[0] for name in images.sweep()] == ["work", "work"]
    assert images.sweep() == ()
    assert len(images.list()) == 1


def test_calls_about_records_fail_as_all_others_do(lab, address):
    """A fault on the way is told; what was kept before stays."""
    image = build(BASE.run("true"), address)
    images = lab.backend.images
    images.keep(image.id, "proof.json", b"one")
    lab.fail(Script(Fault.ERROR_BEFORE, "images.keep"))
    with pytest.raises(errors.Ambiguous):
        images.keep(image.id, "proof.json", b"two")
    assert images.kept(image.id, "proof.json") == b"one"


def test_an_image_that_was_put_there_has_no_record(lab):
    """Nothing is known of it, and its root is empty."""
    image, images = lab.image("shop-1"), lab.backend.images
    assert images.record(image.id) is None
    with images.root(image.id) as root:
        assert not list(root.iterdir())
    with pytest.raises(errors.UnknownImage):
        images.rebuild(image.id, on_output=ignore)


def test_an_artefact_of_packer_is_adopted_and_deployed(lab, address, tmp_path):
    """What the last run made is known by its bytes; other files are no manifest."""
    older = {"files": [{"name": "older"}], "packer_run_uuid": "1"}
    newer = {"files": [{"name": "disk"}], "packer_run_uuid": "2"}
    path = tmp_path / "manifest.json"
    path.write_text(json.dumps({"builds": [older, newer], "last_run_uuid": "2"}))
    with pytest.raises(errors.InvalidInput, match="disk is not there"):
        immutable.Image.from_packer_manifest(path, backend=address)
    (tmp_path / "disk").write_bytes(b"bytes")
    image = immutable.Image.from_packer_manifest(path, backend=address)
    assert image.digest == hashlib.sha256(b"bytes").hexdigest()
    assert image.size_bytes == 5
    shop = immutable.Service("shop", backend=address, ports=80)
    assert immutable.deploy(shop, image).is_live
    assert lab.backend.images.record(image.id) is None


def test_layers_that_do_not_fit_together_are_told(lab, address, app):
    """A file where a directory is needed: an error of ours, and no half root."""
    recipe = BASE.files(app / "run", "/srv").files(app / "run", "/srv/run")
    image = build(recipe, address)
    with (
        pytest.raises(errors.BuildFailed, match="do not fit together"),
        lab.backend.images.root(image.id),
    ):
        pass


def test_no_link_leads_out_of_a_root(lab, address, tmp_path):
    """Links are followed as in a chroot, also where each of them looks harmless."""
    tree, outside = tmp_path / "tree", tmp_path / "outside"
    (tree / "deep").mkdir(parents=True)
    (tree / "here").symlink_to("deep/..")
    (tree / "up").symlink_to("here/here/here/../../..")
    (tmp_path / "file").write_text("mine")
    ups = "up/" * 40
    recipe = BASE.files(tree, "/t").files(tmp_path / "file", f"/t/{ups}x/outside")
    image = build(recipe, address)
    with lab.backend.images.root(image.id) as root:
        assert any(path.name == "outside" for path in root.rglob("*"))
    assert not outside.exists()
