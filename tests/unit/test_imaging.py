"""The verbs about images, and what a service may demand of one, by the public calls."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import immutable
from immutable import imaging
from immutable.errors import InvalidInput, Refused, UnknownImage, Unsupported
from immutable.images import proof
from immutable.images.signing import KeySigner, Policy, local_signer
from immutable.model import Digest, ImageId
from immutable.proving import prove
from immutable.registry import open_backend
from immutable.testing import forget

HERE = "memory://"
STRANGER = Policy(identity=f"ed25519:{'0' * 64}")


@pytest.fixture(autouse=True)
def fresh_world() -> Iterator[None]:
    """Let every test begin in a world in which nothing exists."""
    forget()
    yield
    forget()


@pytest.fixture
def recipe(tmp_path: Path) -> immutable.Recipe:
    """Return a recipe of packages and one file."""
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "main").write_text("one")
    base = immutable.Recipe.base("debian:12").packages("nginx")
    return base.files(tmp_path / "app", "/srv/app")


@pytest.fixture
def image(recipe: immutable.Recipe) -> immutable.Image:
    """Return the recipe's image."""
    return immutable.build(recipe, backend=HERE)


@pytest.fixture
def signer(tmp_path: Path) -> KeySigner:
    """Return somebody with a key of their own."""
    return local_signer(tmp_path / "key.pem")


def shop(*, proven: bool = False, signed_by: Policy | None = None) -> immutable.Service:
    """Return a service with demands."""
    return immutable.Service(
        "shop", backend=HERE, ports=8080, proven=proven, signed_by=signed_by
    )


def test_a_record_says_what_an_image_is_made_of(
    image: immutable.Image, recipe: immutable.Recipe
) -> None:
    """Its recipe, layer by layer; also after the image is gone."""
    open_backend(HERE).images.delete(image.id)
    found = imaging.record(image, backend=HERE)
    assert found.image == image
    assert [layer.recipe for layer in found.built] == list(recipe.digests())
    assert found.layers[0] == recipe.layers[0]


def test_a_historical_image_is_made_again(image: immutable.Image) -> None:
    """By its release, after it was deleted; it is there again, and identical."""
    done = immutable.deploy(shop(), image)
    assert done.release is not None
    open_backend(HERE).images.delete(image.id)
    again = imaging.rebuild(done.release, backend=HERE)
    assert again.is_identical
    assert str(again) == f"{image.id}: identical"
    assert open_backend(HERE).images.find(image.id) == image


def test_an_image_of_the_past_can_be_branched(
    image: immutable.Image, recipe: immutable.Recipe, tmp_path: Path
) -> None:
    """Its recipe comes back with its files, wherever those of today are."""
    (tmp_path / "app" / "main").write_text("two")
    found = imaging.recipe_of(image, backend=HERE, into=tmp_path / "old")
    assert immutable.build(found, backend=HERE).digest == image.digest
    assert immutable.build(recipe, backend=HERE).digest != image.digest
    branch = found.with_(packages={"nginx": "1.22"})
    assert branch.layers[0] != found.layers[0]
    with pytest.raises(InvalidInput, match="is not empty"):
        imaging.recipe_of(image, backend=HERE, into=tmp_path / "old")
    with pytest.raises(InvalidInput, match="into="):
        imaging.recipe_of(image, backend=HERE)
    plain = immutable.build(immutable.Recipe.base("debian:12"), backend=HERE)
    assert imaging.recipe_of(plain, backend=HERE).origin == "debian:12"


def test_what_differs_between_two_images_is_named(
    image: immutable.Image, recipe: immutable.Recipe, tmp_path: Path
) -> None:
    """A changed file is named by its path in the image."""
    (tmp_path / "app" / "main").write_text("two")
    other = immutable.build(recipe, backend=HERE)
    found = imaging.diff(image, other, backend=HERE)
    assert "/srv/app/main" in str(found)
    assert imaging.diff(image, image, backend=HERE).is_identical


def test_a_bill_of_materials_is_made_once(image: immutable.Image) -> None:
    """And is the same bytes whenever it is asked for."""
    first = imaging.sbom(image, backend=HERE)
    assert first == imaging.sbom(image.id, backend=HERE)
    assert image.digest.encode() in first


def test_what_is_signed_is_verified_by_exactly_its_signer(
    image: immutable.Image, signer: KeySigner
) -> None:
    """Anybody else's policy, or another image, refuses."""
    policy = imaging.attest(image, backend=HERE, signer=signer)
    assert policy == signer.policy
    assert imaging.verify(image, policy, backend=HERE).digest == image.digest
    with pytest.raises(immutable.ImmutableError):
        imaging.verify(image, STRANGER, backend=HERE)


def test_nothing_is_known_of_a_stranger() -> None:
    """Each verb says so, with the id."""
    for verb in (imaging.record, imaging.rebuild, imaging.sbom):
        with pytest.raises(UnknownImage, match="img-nobody"):
            verb("img-nobody", backend=HERE)


def test_a_backend_without_records_is_told_apart(image: immutable.Image) -> None:
    """The error names the capability."""
    with pytest.raises(Unsupported, match="keeps_records"):
        imaging.record(image, backend="memory://plain?keeps_records=no")


def test_only_signed_images_are_launched_where_that_is_demanded(
    image: immutable.Image, recipe: immutable.Recipe, signer: KeySigner
) -> None:
    """By this very signer; an image without it is refused, and nothing is launched."""
    policy = imaging.attest(image, backend=HERE, signer=signer)
    assert immutable.deploy(shop(signed_by=policy), image).is_live
    refused = immutable.deploy(shop(signed_by=STRANGER), recipe.run("true"))
    assert refused.outcome is immutable.Outcome.REFUSED
    assert "no signed provenance" in str(refused.error)


def test_a_document_that_was_altered_refuses(
    image: immutable.Image, signer: KeySigner
) -> None:
    """Whoever can write the archive cannot sign."""
    policy = imaging.attest(image, backend=HERE, signer=signer)
    images = open_backend(HERE).images
    kept = images.kept(image.id, "provenance.dsse.json")  # type: ignore[attr-defined]  # it keeps records
    spoiled = kept.replace(b'"sig":"', b'"sig":"AAAA')
    images.keep(image.id, "provenance.dsse.json", spoiled)  # type: ignore[attr-defined]  # it keeps records
    done = immutable.deploy(shop(signed_by=policy), image)
    assert done.outcome is immutable.Outcome.REFUSED


def test_a_failed_proof_refuses_whoever_demands_what(image: immutable.Image) -> None:
    """What is known to be bad is not launched; a service need not ask for that."""
    wrong = proof.file("/srv/app/main", contains="two")
    assert not prove(image, [wrong], backend=HERE).is_passed
    done = immutable.deploy(shop(), image)
    assert isinstance(done.error, Refused)
    assert "failed its proof" in str(done.error)


def test_a_missing_proof_refuses_where_it_is_demanded(image: immutable.Image) -> None:
    """A passed one lets the same image through; the plan says the same."""
    asking = shop(proven=True)
    with pytest.raises(Refused, match="is not proven"):
        immutable.plan(asking, image)
    assert immutable.deploy(asking, image).outcome is immutable.Outcome.REFUSED
    made = prove(image, [proof.file("/srv/app/main", contains="one")], backend=HERE)
    assert made.is_passed
    assert immutable.deploy(asking, image).is_live


def test_demands_that_nobody_can_meet_are_refused(image: immutable.Image) -> None:
    """A backend without records can prove nothing."""
    service = immutable.Service(
        "shop", backend="memory://plain?keeps_records=no", ports=8080, proven=True
    )
    refused = immutable.deploy(service, immutable.Recipe.base("debian:12"))
    assert refused.outcome is immutable.Outcome.REFUSED
    assert "keeps_records" in str(refused.error)


def test_an_instance_is_launched_to_be_looked_at_and_is_gone_afterwards(
    image: immutable.Image,
) -> None:
    """Off production: nothing is deployed by it, and nothing is left."""
    service, seen = shop(), list[str]()

    class Look:
        """Passes on an instance, and remembers it."""

        name = "look"
        digest = Digest("0" * 64)
        needs = (proof.Place.BOOTED,)

        def judge(self, target: proof.Target) -> proof.Judgement:
            """Note where the instance is."""
            assert isinstance(target, proof.Booted)
            seen.append(target.address)
            return proof.passed("look", "")

    assert prove(image, [Look()], service=service).is_passed
    assert seen[0]
    assert not immutable.status(service).fleets
    assert not immutable.sweep(service).steps
    assert (
        prove(image, [Look()], backend=HERE).status is immutable.VerdictStatus.UNDECIDED
    )


def test_a_proof_asks_for_something_somewhere(image: immutable.Image) -> None:
    """Without checks, without a place, or of nobody: an error before any effect."""
    with pytest.raises(InvalidInput, match="no check"):
        prove(image, [], backend=HERE)
    with pytest.raises(InvalidInput, match="backend="):
        prove(image, [proof.sealed()])
    with pytest.raises(UnknownImage):
        prove(ImageId("img-nobody"), [proof.sealed()], backend=HERE)


def test_a_backend_is_swept_of_what_killed_builds_left() -> None:
    """Nothing is left where nobody died; a service is swept of its fleets as before."""
    assert immutable.sweep(HERE) == ()
    assert immutable.sweep(shop()).is_live
    with pytest.raises(Unsupported, match="keeps_records"):
        immutable.sweep("memory://plain?keeps_records=no")


def test_what_is_no_image_is_refused_before_anything_is_asked(
    image: immutable.Image, recipe: immutable.Recipe
) -> None:
    """A recipe, a number or a deployment is not looked for; its text is not printed."""
    done: Any = immutable.deploy(shop(), image)
    for wrong in (recipe, 7, None, done):
        unchecked: Any = wrong
        for verb in (imaging.record, imaging.rebuild, imaging.sbom, imaging.attest):
            with pytest.raises(InvalidInput, match="is no image") as caught:
                verb(unchecked, backend=HERE)
            assert len(str(caught.value)) < 200


def test_one_where_several_are_meant_is_told_so(
    image: immutable.Image, tmp_path: Path
) -> None:
    """A check, a service, a policy or a path of the wrong kind says what to give."""
    loose: Any = immutable
    with pytest.raises(InvalidInput, match="no list"):
        loose.prove(image, proof.sealed(), backend=HERE)
    with pytest.raises(InvalidInput, match="'sealed' is no check"):
        loose.prove(image, ["sealed"], backend=HERE)
    with pytest.raises(InvalidInput, match="no list"):
        loose.retain(shop())
    with pytest.raises(InvalidInput, match="no list"):
        loose.affected(image, shop())
    with pytest.raises(InvalidInput, match="no policy"):
        loose.retain([shop()], policy={"keep_last": 3})
    with pytest.raises(InvalidInput, match="no policy"):
        loose.Service("shop", backend=HERE, ports=80, signed_by="ed25519:00")
    with pytest.raises(InvalidInput, match="no image"):
        loose.verify(image.id, STRANGER, backend=HERE)
    with pytest.raises(InvalidInput, match="has an address") as caught:
        loose.channels(ledger=tmp_path / "ledger.db")
    assert f"sqlite:///{tmp_path / 'ledger.db'}" in caught.value.hint


def test_a_locked_recipe_is_never_resolved_anew(tmp_path: Path) -> None:
    """A lock of another recipe, or of what it was, is refused; locking again mends it."""
    (tmp_path / "app").write_text("one")
    base = immutable.Recipe.base("debian:12")
    recipe = base.files(tmp_path / "app", "/app").packages("nginx").run("true")
    locked = recipe.locked(recipe.lock(backend=HERE))
    first = immutable.build(locked, backend=HERE)
    for other in (
        base.packages("curl").locked(recipe.lock(backend=HERE)),
        recipe.locked(immutable.Lock()),
        locked.packages("curl"),
        base.python("3.11").locked(recipe.lock(backend=HERE)).with_(python="3.13"),
    ):
        with pytest.raises(InvalidInput, match="the lock has nothing of") as caught:
            immutable.build(other, backend=HERE)
        assert "recipe.lock(" in caught.value.hint
        immutable.build(other.locked(other.lock(backend=HERE)), backend=HERE)
    (tmp_path / "app").write_text("two")
    with pytest.raises(InvalidInput, match="nothing of 'packages nginx', as it is now"):
        immutable.deploy(shop(), locked)
    (tmp_path / "app").write_text("one")
    assert immutable.build(locked.run("true"), backend=HERE) != first
