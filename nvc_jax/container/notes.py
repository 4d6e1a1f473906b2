"""Notes that the writers of one container leave for each other before it is begun.

They lie in the hidden directory that the writers share, and go when the container is complete. Where nothing
can be renamed there are none, and every writer works for itself until the first has begun the container.
"""

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from nvc_jax.container.metadata import METADATA_KEY
from nvc_jax.io.locks import locked
from nvc_jax.io.replaceable import OWN_PREFIX

_PREFIX = f"{OWN_PREFIX}note-"
_PAUSE_SECONDS = 0.1
"""Pause between two looks at work that another writer does."""


class Notes:
    """Notes in a directory, each written whole or not at all.

    Args:
        directory: that of the container while it is written.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._own: list[str] = []

    def leave(self, name: str, content: bytes) -> None:
        """Write a note, in place of an earlier one of that name; nothing where the directory has gone."""
        path = self._directory / f"{_PREFIX}{name}"
        partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        with contextlib.suppress(FileNotFoundError):  # the container is complete
            partial.write_bytes(content)
            self._own.append(path.name)
            partial.replace(path)

    def names(self) -> set[str]:
        """List the names of all notes."""
        try:
            entries = os.listdir(self._directory)
        except FileNotFoundError:
            return set()
        return {entry.removeprefix(_PREFIX) for entry in entries if entry.startswith(_PREFIX)}

    def read(self, name: str) -> bytes:
        """Read a note; empty where there is none."""
        try:
            return (self._directory / f"{_PREFIX}{name}").read_bytes()
        except FileNotFoundError:
            return b""

    def once(self, name: str, work: Callable[[], bytes]) -> bytes:
        """Let one writer do a piece of work for all, and leave a note of its result, for which others wait.

        If that writer ends before, another one does the work; where the file system knows no locks, all do.
        """
        # The name of the lock's file begins as those of notes do.
        lock = self._directory / f"{_PREFIX.removeprefix('.')}{name}"
        while True:
            with contextlib.ExitStack() as stack:
                try:
                    self._directory.mkdir(exist_ok=True)
                    stack.enter_context(locked(lock, lock))
                except BlockingIOError:
                    time.sleep(_PAUSE_SECONDS)
                    continue
                if not (result := self.read(name)):
                    result = work()
                    self.leave(name, result)
                return result

    def withdraw(self) -> None:
        """Remove this writer's notes, and the directory if nothing else is in it."""
        for name in self._own:
            with contextlib.suppress(OSError):
                (self._directory / name).unlink()
        with contextlib.suppress(OSError):
            self._directory.rmdir()


@contextlib.contextmanager
def leaving_notes(directory: Path) -> Iterator[Notes]:
    """Let a writer leave notes; they are removed at the end of the block unless the container was begun.

    Raises:
        OSError: the directory cannot be made.
    """
    directory.mkdir(exist_ok=True)
    notes = Notes(directory)
    try:
        yield notes
    finally:
        if not (directory / METADATA_KEY).is_file():
            notes.withdraw()
