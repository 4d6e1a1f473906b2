"""Files and directories that appear under their name only when they are whole."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

_ZARR_KEYS = ("zarr.json", ".zarray", ".zgroup")


def check_replaceable(path: Path) -> None:
    """Raise unless ``path`` can be made, or is a file or a Zarr store that may be replaced."""
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"the directory of `{path}` does not exist")
    if path.is_dir() and any(path.iterdir()) and not any((path / key).is_file() for key in _ZARR_KEYS):
        raise FileExistsError(f"`{path}` is a directory that is no Zarr store; it will not be replaced")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path in a fresh directory beside ``path`` to write a file or directory to.

    On success it is moved to ``path`` in place of what was there; on failure it is removed, and what was
    there stays.
    """
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.absolute().parent) as directory:
        partial = Path(directory) / path.name
        yield partial
        put_in_place(partial, path)


def put_in_place(partial: Path, path: Path) -> None:
    """Move a whole file or directory to ``path``, in place of what is there."""
    if not path.exists() or (path.is_file() and partial.is_file()):
        os.replace(partial, path)
        return
    # os.replace puts a directory in no other's place.
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.absolute().parent) as directory:
        replaced = Path(directory) / "replaced"
        try:
            os.replace(path, replaced)
            os.replace(partial, path)
        except BaseException:
            if replaced.exists() and not path.exists():
                os.replace(replaced, path)
            raise
