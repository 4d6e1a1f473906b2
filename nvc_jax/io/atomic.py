"""Atomic writes: a file or directory appears under its name only when it is complete."""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

from nvc_jax.core.unfinished import completing, remove_tree, unfinished
from nvc_jax.io.locks import locked
from nvc_jax.io.paths import real_path
from nvc_jax.io.renames import exchange, rename_new
from nvc_jax.io.replaceable import Identity, check_replaceable, identify

_ID_BYTES = 4
"""Random bytes in the name of a temporary directory, which so is a run's own."""
_TEMPORARY = "tmp"


@contextlib.contextmanager
def replacing(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary path to write a file or directory to, which is named ``path`` when the block ends.

    If the block fails, the new file or directory is removed and what lay at ``path`` stays.

    Args:
        path: as the user named it; it may be a link, which stays, and is followed.
        overwrite: whether a file or Zarr array that lies there may be replaced.

    Raises:
        BlockingIOError: another run is writing to the path.
        FileExistsError: something lies there that is not replaced, or has come or changed meanwhile.
        FileNotFoundError: the parent directory does not exist.
        OSError: it cannot be written; the message names ``path``.
    """
    check_replaceable(path, overwrite)
    real = real_path(path)
    with contextlib.ExitStack() as stack:
        with naming(path):
            is_locked = stack.enter_context(locked(real, path))
        before = identify(real)
        check_replaceable(path, overwrite)
        if is_locked:
            remove_leftovers(real, _TEMPORARY)
        with naming(path):
            directory = stack.enter_context(_temporary_directory(real))
        partial = directory / real.name
        yield partial
        with naming(path):
            put_in_place(partial, real, before)


def put_in_place(partial: Path, path: Path, before: Identity | None) -> None:
    """Give a complete file or directory its name, and remove what it replaces.

    Args:
        partial: the complete one, in the file system of ``path``.
        path: real path.
        before: identity of what lay there when the work began, which may be replaced; None for nothing.

    Raises:
        FileExistsError: something else lies there now. It stays, and so does ``partial``.
    """
    with completing(path):
        if identify(path) != before:
            raise FileExistsError(
                f"`{path}` was made or changed by someone else meanwhile; it will not be replaced: move it "
                "away"
            )
        if before is None:
            rename_new(partial, path)
        elif path.is_file() and partial.is_file():
            os.replace(partial, path)
        else:
            _replace(partial, path)


def own_name(path: Path, kind: str) -> Path:
    """Make a hidden name beside ``path`` that no other run has."""
    return path.with_name(f".{path.name}.{secrets.token_hex(_ID_BYTES)}.{kind}")


def list_leftovers(path: Path, kind: str) -> list[Path]:
    """List the directories beside ``path`` that ``own_name`` named, the newest first."""
    prefix, suffix = f".{path.name}.", f".{kind}"
    digits = set("0123456789abcdef")
    names = [
        name
        for name in os.listdir(path.parent)
        if name.startswith(prefix)
        and name.endswith(suffix)
        and len(name) == len(prefix) + 2 * _ID_BYTES + len(suffix)
        and set(name[len(prefix) : -len(suffix)]) <= digits
    ]
    found = [entry for entry in map(path.with_name, names) if entry.is_dir()]
    return sorted(found, key=lambda entry: entry.stat().st_mtime_ns, reverse=True)


def remove_leftovers(path: Path, kind: str) -> None:
    """Remove what killed runs left beside ``path``, whose lock the caller holds."""
    for entry in list_leftovers(path, kind):
        shutil.rmtree(entry, ignore_errors=True)


@contextlib.contextmanager
def naming(path: object) -> Iterator[None]:
    """Have an error of a block that only writes name ``path``, as the user wrote it.

    TensorStore raises ``ValueError`` where the system has refused something; here it becomes ``OSError``.
    """
    try:
        yield
    except OSError as error:
        if f"`{path}`" in str(error) or error.errno is None:
            raise
        raise type(error)(f"`{path}` cannot be written: {error}") from error
    except ValueError as error:
        raise OSError(f"`{path}` cannot be written: {error}") from error


@contextlib.contextmanager
def naming_for(partial: Path, path: Path) -> Iterator[None]:
    """Have an error of a block that writes to a temporary path name the path that it is to get."""
    try:
        yield
    except (OSError, ValueError) as error:
        if str(partial) not in str(error):
            raise
        raise type(error)(str(error).replace(str(partial), str(path))) from error


def _replace(partial: Path, path: Path) -> None:
    """Replace what lies at ``path``, of which one or both are directories."""
    if exchange(partial, path):
        _discard(partial, path)
        return
    # Between two renames there is nothing at `path`: the old one comes back if the second fails.
    replaced = own_name(path, _TEMPORARY)
    try:
        os.rename(path, replaced)
        os.rename(partial, path)
    except BaseException:
        if replaced.exists() and not path.exists():
            os.rename(replaced, path)
        raise
    _discard(replaced, path)


def _discard(old: Path, path: Path) -> None:
    """Remove what was replaced, under a name that no run takes for one of its own to continue."""
    if old.is_dir():
        doomed = own_name(path, _TEMPORARY)
        os.rename(old, doomed)
        shutil.rmtree(doomed, ignore_errors=True)
    else:
        old.unlink()


@contextlib.contextmanager
def _temporary_directory(path: Path) -> Iterator[Path]:
    """Make a directory in the file system of ``path``, so that a move from it is a rename."""
    directory = own_name(path, _TEMPORARY)
    directory.mkdir()
    try:
        with unfinished(directory):
            yield directory
    except BaseException:
        remove_tree(directory)
        raise
    shutil.rmtree(directory, ignore_errors=True)
