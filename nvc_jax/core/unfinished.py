"""Files and directories that this process is writing, for whoever must end the process at once.

A run that is interrupted removes what is of no use without it, and keeps what a later run continues. Usually
the ``with`` blocks that write do so when they end. A process that is in a long native call cannot end them;
then ``abandon`` does it from another thread, and the process may be ended.
"""

import collections
import contextlib
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

Describe = Callable[[], str | None]
"""Function that says what of a path is kept, or returns None where all of it is removed."""

_COMMIT_SECONDS = 0.3
"""Seconds that ``abandon`` gives a rename that is under way."""

DEFAULT_GRACE_SECONDS = 1.0
"""Seconds that an interrupted process has to end by itself."""

_writing: dict[Path, Describe] = {}
_grace_seconds = [DEFAULT_GRACE_SECONDS]
_completed: collections.deque[Path] = collections.deque(maxlen=16)
_renaming = threading.RLock()
"""Held while a path gets its name, and for ever by ``abandon``: nothing appears under its name after that."""


@contextlib.contextmanager
def unfinished(path: Path, describe: Describe = lambda: None) -> Iterator[None]:
    """State that ``path`` is being written until the block ends.

    If the block ends by an error, what is kept is added to the error as a note. Of a path inside of another
    one that is being written, nothing is kept unless that one is.

    Args:
        path: of a file or directory.
        describe: says what is kept of it when the process ends before the block does. The path is removed
            if it returns None.
    """
    _writing[path] = describe
    try:
        yield
    except BaseException as error:
        if note := _describe(path, describe):
            error.add_note(note)
        raise
    finally:
        _writing.pop(path, None)


@contextlib.contextmanager
def completing(path: Path) -> Iterator[None]:
    """Let nobody abandon the process while the block gives a whole file or directory its name ``path``."""
    with _renaming:
        yield
        _completed.append(path)


@contextlib.contextmanager
def granting(seconds: float) -> Iterator[None]:
    """Give the process more time to end by itself after SIGTERM, while the block runs.

    For work that takes the signal as a request, and saves its state.
    """
    _grace_seconds.append(seconds)
    try:
        yield
    finally:
        _grace_seconds.pop()


def grace_seconds() -> float:
    """Return the seconds that the process has to end by itself after SIGTERM."""
    return _grace_seconds[-1]


def take_completed() -> list[str]:
    """Say which paths were completed since the last call."""
    notes = [f"`{path}` is complete" for path in _completed]
    _completed.clear()
    return notes


def abandon() -> list[str]:
    """Remove what is of no use without this process, which must end right after.

    Returns:
        What is kept, a sentence each.
    """
    _renaming.acquire(timeout=_COMMIT_SECONDS)
    notes = take_completed()
    for path, describe in list(_writing.items()):
        note = _describe(path, describe)
        if note is not None:
            notes.append(note)
        elif path.is_dir():
            remove_tree(path)
        else:
            with contextlib.suppress(OSError):
                path.unlink()
    return notes


def remove_tree(path: Path, *, seconds: float = 0.5, pause: float = 0.02) -> None:
    """Remove a directory of a run that has failed, into which other threads may still write.

    Who writes a file makes its directory again. So for a moment a file takes the directory's place, at which
    these threads fail.

    Args:
        path: of the directory. Beside it, ``.removed`` is appended to its name while it is removed.
        seconds: after which no more attempts are made to put the file in its place.
        pause: seconds for which the file stays there.
    """
    removed, obstacle = path.with_name(f"{path.name}.removed"), False
    end = time.monotonic() + seconds
    while not obstacle and time.monotonic() < end:
        shutil.rmtree(removed, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.rename(path, removed)
        with contextlib.suppress(OSError):  # a thread has made the directory again
            path.touch(exist_ok=False)
            obstacle = True
    shutil.rmtree(removed, ignore_errors=True)
    if obstacle:
        time.sleep(pause)
        path.unlink(missing_ok=True)
    else:
        shutil.rmtree(path, ignore_errors=True)


def _describe(path: Path, describe: Describe) -> str | None:
    """Say what of a path is kept; None where it lies in another one of which nothing is."""
    for parent in path.parents:
        outer = _writing.get(parent)
        if outer is not None and outer() is None:
            return None
    return describe()
