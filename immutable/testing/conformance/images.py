"""Cases of `immutable.protocols.Images`: finding, building, deleting."""

import re

import immutable
from immutable.errors import Unsupported
from immutable.images.recipe import Recipe
from immutable.model import ImageId
from immutable.testing.conformance.case import (
    Fit,
    Part,
    Terms,
    not_applicable,
)
from immutable.testing.conformance.suite import (
    case,
    declares,
    each,
    lacks,
    recipes,
    with_another,
    with_groups,
    with_recipe,
)
from immutable.testing.conformance.trial import Trial

_DIGEST = re.compile(r"[0-9a-f]{64}")


def with_spare(terms: Terms) -> Fit:
    """Apply where an image can be deleted."""
    if terms.subject.spare is None:
        return not_applicable("the subject has no image to spare")
    return with_groups(terms)


@case(
    Part.IMAGES,
    "an image is found by its exact id",
    "Images.find: return the image with exactly this id; the same id, the same digest",
    fit=with_groups,
)
def finds(t: Trial) -> None:
    """Find an image twice."""
    for _ in range(2):
        found = t.backend.images.find(t.good.id)
        if found is None:
            t.fail(f"the image {t.good.id}", found)
        t.expect(found.id == t.good.id, f"the id {t.good.id}", found.id)
        t.expect(found.digest == t.good.digest, f"the digest {t.good.digest}", found)
        t.expect(bool(_DIGEST.fullmatch(found.digest)), "a SHA-256", found.digest)


@case(
    Part.IMAGES,
    "other ids find nothing",
    'Images.find: None when there is none; never resolves names, aliases or "latest"',
    fit=with_groups,
)
def finds_nothing_else(t: Trial) -> None:
    """Look for what is nearly the image, and for an alias."""
    for name in (t.good.id[:-1], f"{t.good.id}0", t.good.id.swapcase(), "latest", ""):
        found = t.backend.images.find(ImageId(name))
        t.expect(found is None, f"None for {name!r}", found)


@case(
    Part.IMAGES,
    "different images have different digests",
    "Images.find: the digest covers every byte that an instance can boot from",
    fit=with_another,
)
def tells_images_apart(t: Trial) -> None:
    """Compare two images."""
    good, another = (t.backend.images.find(i.id) for i in (t.good, t.another))
    if good is None or another is None:
        t.fail("both images", (good, another))
    t.expect(good.digest != another.digest, "two digests", good.digest)


@case(
    Part.IMAGES,
    "the same recipe is built once",
    "Images.build: again: a recipe of the same digest is returned unbuilt",
    fit=each(declares("backend", "builds_images"), with_recipe),
)
def builds_once(t: Trial) -> None:
    """Build what was built: the same image, without a line of output."""
    recipe = recipes(t.terms)[0]
    first = t.backend.images.build(recipe, on_output=lambda _: None)
    said: list[str] = []
    again = t.backend.images.build(recipe, on_output=said.append)
    t.expect(again == first, f"{first}", again)
    t.expect(not said, "no work, and so no output", said)
    t.expect(again.recipe == recipe.digest, f"recipe {recipe.digest}", again.recipe)
    found = t.backend.images.find(first.id)
    t.expect(found == first, f"to find {first}", found)


@case(
    Part.IMAGES,
    "building that is not declared is refused",
    "Capabilities.builds_images: without it only existing images can be deployed",
    fit=lacks("backend", "builds_images"),
)
def refuses_to_build(t: Trial) -> None:
    """Ask the library to build: it refuses without asking the backend."""
    error = t.refused(
        lambda: immutable.build(Recipe.base("debian:12"), backend=t.backend),
        Unsupported,
        what="a build",
    )
    t.expect("builds_images" in error.message, "the capability's name", error.message)


@case(
    Part.IMAGES,
    "deleting is repeat-safe",
    "Images.delete: delete an image; one that is already gone is no error",
    fit=with_spare,
)
def deletes(t: Trial) -> None:
    """Delete the image that can be spared, twice."""
    spare = t.spare
    for _ in range(2):
        t.backend.images.delete(spare.id)
        found = t.backend.images.find(spare.id)
        t.expect(found is None, "None", found)


@case(
    Part.IMAGES,
    "deleting what never was is no error",
    "Images.delete: one that is already gone is no error",
    fit=with_groups,
)
def deletes_nothing(t: Trial) -> None:
    """Delete an unknown image; the others stay."""
    t.backend.images.delete(ImageId(f"{t.service}-none"))
    found = t.backend.images.find(t.good.id)
    t.expect(found is not None, f"still {t.good.id}", found)
