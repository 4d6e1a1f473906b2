"""Renames that replace nothing, and renames that exchange two paths in one step.

Linux has both (``renameat2``). Elsewhere, and in file systems that know neither, the nearest of the usual
calls takes their place.
"""

import ctypes
import errno
import functools
import os
import sys
from collections.abc import Callable
from pathlib import Path

_AT_FDCWD = -100
_NO_REPLACE, _EXCHANGE = 1, 2
"""Flags of ``renameat2``."""
_UNKNOWN = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)
"""Errors of a system, or a file system, that does not know a flag."""


def rename_new(source: Path, path: Path) -> None:
    """Rename a file or directory to a path at which nothing lies.

    Raises:
        FileExistsError: something lies there.
    """
    if _rename_with(source, path, _NO_REPLACE):
        return
    if path.exists() or path.is_symlink():
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    os.rename(source, path)


def exchange(first: Path, second: Path) -> bool:
    """Exchange two paths in one step, so that there is something under each at every moment.

    Returns:
        False where the system cannot; nothing is changed then.
    """
    return _rename_with(first, second, _EXCHANGE)


def _rename_with(source: Path, path: Path, flag: int) -> bool:
    """Call ``renameat2``; False where the system does not know it or the flag."""
    rename = _find_renameat2()
    if rename is None:
        return False
    if rename(_AT_FDCWD, os.fsencode(source), _AT_FDCWD, os.fsencode(path), flag) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNKNOWN:
        return False
    raise OSError(number, os.strerror(number), str(source), None, str(path))


@functools.cache
def _find_renameat2() -> Callable[..., int] | None:
    if not sys.platform.startswith("linux"):
        return None
    return getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
