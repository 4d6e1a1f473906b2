"""Archives (``.tar``, ``.tar.gz``): single files of them, taken out by name.

Only regular files are read, and their bytes go to paths that the caller names: what an archive says of
directories, links, owners and modes has no effect.
"""

import hashlib
import tarfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

_BLOCK_BYTES = 1 << 20


class Wanted(NamedTuple):
    """File to take out of an archive: its destination, and its size in bytes."""

    path: Path
    n_bytes: int


def extract_files(
    archive: Path, wanted: Mapping[str, Wanted], on_block: Callable[[int], None] | None = None
) -> dict[Path, str]:
    """Take files out of an archive.

    Args:
        archive: its path.
        wanted: files by their names, without directories; of several of one name the first is taken.
        on_block: called with the number of bytes after each block that was written.

    Returns:
        The SHA-256 of each file, by its destination.

    Raises:
        ValueError: the archive is damaged, lacks a file, or holds one of another size.
    """
    hashes: dict[str, str] = {}
    try:
        with tarfile.open(archive) as tar:
            for member in tar:
                name = PurePosixPath(member.name).name
                if not member.isfile() or name not in wanted or name in hashes:
                    continue
                if member.size != wanted[name].n_bytes:
                    raise ValueError(
                        f"`{archive}`: `{member.name}` has {member.size} bytes, not {wanted[name].n_bytes}: "
                        "it is no longer the data set that the catalogue describes"
                    )
                source = tar.extractfile(member)
                assert source is not None
                hashes[name] = _copy(source, wanted[name].path, on_block)
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ValueError(f"`{archive}` is damaged: {error}; remove it, and fetch it again") from error
    if missing := sorted(wanted.keys() - hashes.keys()):
        raise ValueError(f"`{archive}` does not hold {', '.join(missing)}, which the catalogue lists")
    return {wanted[name].path: digest for name, digest in hashes.items()}


def _copy(source: IO[bytes], path: Path, on_block: Callable[[int], None] | None) -> str:
    """Copy a file, and hash it."""
    digest = hashlib.sha256()
    with path.open("wb") as target:
        while block := source.read(_BLOCK_BYTES):
            target.write(block)
            digest.update(block)
            if on_block is not None:
                on_block(len(block))
    return digest.hexdigest()
