"""What the operating system's errors mean in the library's own words."""

import errno
from functools import partial

from immutable.authoring import Meaning, translated
from immutable.errors import NotEnough, PermissionDenied

NAME = "process"
_RIGHTS = Meaning(kind=PermissionDenied, hint="name a directory of yours: ?dir=/path")
_ROOM = Meaning(kind=NotEnough, hint="make room on the disk, or raise ulimit -u")
_MEANINGS = {
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR), _RIGHTS),
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EAGAIN), _ROOM),
}


def _meaning(error: Exception) -> Meaning | None:
    return _MEANINGS.get(error.errno or 0) if isinstance(error, OSError) else None


doing = partial(translated, _meaning, backend=NAME)
