"""Locks of destinations: of two runs that write to one path at a time, the second is refused.

A lock is a lock of the system on an empty hidden file beside the path. The system frees it when the process
ends, however it ends, so that a killed run blocks nobody. Where the file system knows no locks, there is
none; then names of temporary files, which no two runs share, keep runs apart.
"""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from nvc_jax.core.unfinished import unfinished

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_BUSY = (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES)


@contextlib.contextmanager
def locked(path: Path, name: Path, *, shared: bool = False) -> Iterator[bool]:
    """Hold the lock of a path.

    Args:
        path: real path of the destination; its directory exists.
        name: the destination as the user named it.
        shared: whether others that ask for a shared lock may hold one at the same time.

    Yields:
        Whether there is a lock: False where the system knows none.

    Raises:
        BlockingIOError: another run holds the lock.
        OSError: nothing can be written beside ``path``.
    """
    lock = path.with_name(f".{path.name}.nvc-lock")
    descriptor = None if fcntl is None else _acquire(lock, name, shared)
    if descriptor is None:
        yield False
        return
    try:
        with unfinished(lock):
            yield True
    finally:
        _release(lock, descriptor, shared)


def _acquire(lock: Path, name: Path, shared: bool) -> int | None:
    """Lock a file, which is made; None where the file system knows no locks."""
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            if error.errno in _BUSY:
                raise BlockingIOError(
                    f"another run is writing to `{name}`; wait until it ends, or choose another destination"
                ) from error
            _remove(lock)
            return None
        # Its last holder may have removed the file between the two calls: then the lock is of no file.
        if _is_same_file(descriptor, lock):
            return descriptor
        os.close(descriptor)


def _release(lock: Path, descriptor: int, shared: bool) -> None:
    """Free a lock, and remove its file unless others hold the lock, too."""
    try:
        if shared:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_same_file(descriptor, lock):
            _remove(lock)
    except OSError:
        pass  # others hold it; the last one removes it
    finally:
        os.close(descriptor)


def _remove(lock: Path) -> None:
    with contextlib.suppress(OSError):
        if lock.stat().st_size == 0:  # one with a content is not ours
            lock.unlink()


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except OSError:
        return False
