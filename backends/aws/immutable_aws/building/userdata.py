"""What a builder is told at its first boot: our program, and what is signed for it."""

import gzip
import json
from importlib import resources

import attrs

from immutable.baking import Bake
from immutable.errors import InvalidInput
from immutable_aws.building.depot import Form
from immutable_aws.errors import NAME
from immutable_aws.groups.requesting import MAX_USER_DATA_BYTES

_PROGRAM = "builder_files/bake.py"
_SHEBANG = "#!/usr/bin/python3\n"
_SETTINGS = 'json.loads(r"""{}""")'


@attrs.frozen(kw_only=True)
class Signed:
    """Where the work is fetched and what is said is sent; and the work's own SHA-256."""

    get: str
    sha256: str
    post: Form
    said: str
    """The beginning of the keys of what is said."""


def user_data(bake: Bake, signed: Signed) -> bytes:
    """Return the user data of a bake's builder, compressed.

    cloud-init takes scripts, also compressed ones:
    https://docs.cloud-init.io/en/latest/explanation/format.html

    Raises:
        InvalidInput: it has no room for what is signed.
    """
    settings = {
        "get": signed.get,
        "sha256": signed.sha256,
        "post": {"url": signed.post.url, "fields": signed.post.fields},
        "said": signed.said,
        "networks": [work.network for work in bake.works],
        "longest_s": bake.longest.total_seconds(),
    }
    program = resources.files("immutable_aws").joinpath(_PROGRAM).read_text("utf-8")
    told = program.replace(_SETTINGS, f'json.loads(r"""{json.dumps(settings)}""")')
    packed = gzip.compress(f"{_SHEBANG}{told}".encode(), mtime=0)
    if len(packed) > MAX_USER_DATA_BYTES:
        raise InvalidInput(
            f"a builder would be told {len(packed)} bytes, and {MAX_USER_DATA_BYTES} is "
            "the most that user data may have",
            hint="use credentials with a shorter session token",
            backend=NAME,
        )
    return packed
