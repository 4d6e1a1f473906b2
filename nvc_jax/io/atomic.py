"""Atomic writes: a file or directory appears under its name only when it is complete."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

_ZARR_KEYS = ("zarr.json", ".zarray", ".zgroup")
"""Files that mark a directory as a Zarr store (version 3, version 2)."""


def check_replaceable(path: Path) -> None:
    """Raise unless ``path`` can be written: it is new, a file, an empty directory or a Zarr store.

    Raises:
        FileExistsError: the path is another directory, which may hold anything.
        FileNotFoundError: the parent directory does not exist.
    """
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"the directory of `{path}` does not exist")
    if path.is_dir() and any(path.iterdir()) and not any((path / key).is_file() for key in _ZARR_KEYS):
        raise FileExistsError(f"`{path}` is a directory that is no Zarr store; it will not be replaced")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path`` to write a file or directory to.

    When the block ends, the new file or directory replaces what was at ``path``. If the block fails, the
    new one is removed and the old one stays.
    """
    with _hidden_directory_beside(path) as directory:
        partial = directory / path.name
        yield partial
        put_in_place(partial, path)


def put_in_place(partial: Path, path: Path) -> None:
    """Move a complete file or directory to ``path``, and remove the file or directory that it replaces."""
    if not path.exists() or (path.is_file() and partial.is_file()):
        os.replace(partial, path)
        return
    # os.replace does not replace a directory that is not empty: move the old one away first.
    with _hidden_directory_beside(path) as directory:
        replaced = directory / "replaced"
        try:
            os.replace(path, replaced)
            os.replace(partial, path)
        except BaseException:
            if replaced.exists() and not path.exists():
                os.replace(replaced, path)
            raise


@contextlib.contextmanager
def _hidden_directory_beside(path: Path) -> Iterator[Path]:
    """Make a temporary directory in the file system of ``path``, so that a move from it is a rename."""
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.absolute().parent) as directory:
        yield Path(directory)
