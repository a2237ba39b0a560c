"""What a manifest of Packer's tells of, as ``memory://`` takes it: bytes with a digest."""

import json
from pathlib import Path

from immutable.errors import InvalidInput
from immutable.images.content import digest_of_file
from immutable.model import Image, ImageId


def image_of(manifest: Path, backend: str) -> Image:
    """Return the image of the artefact that a manifest's last run made.

    Raises:
        InvalidInput: it is no such manifest, or it tells of no file that is there.
    """
    artefact = manifest.parent / _last_file(manifest)
    if not artefact.is_file():
        raise InvalidInput(
            f"{artefact} is not there", hint="keep the artefact beside its manifest"
        )
    digest = digest_of_file(artefact)
    return Image(
        id=ImageId(f"artefact-{digest[:16]}"),
        digest=digest,
        backend=backend,
        size_bytes=artefact.stat().st_size,
    )


def _last_file(manifest: Path) -> str:
    try:
        document = json.loads(manifest.read_bytes())
        last = document["last_run_uuid"]
        builds = [b for b in document["builds"] if b["packer_run_uuid"] == last]
        return str(builds[-1]["files"][0]["name"])
    except (OSError, ValueError, TypeError, LookupError) as exc:
        raise InvalidInput(
            f"{manifest} is no manifest of Packer's",
            hint='it is written by a post-processor of type "manifest"',
        ) from exc
