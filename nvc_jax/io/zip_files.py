"""Entries of ``.zip`` files, checked before TensorStore reads them: none may unpack to more than is there."""

import zipfile
from pathlib import Path

_MAX_DIRECTORY_BYTES = 64 << 20
"""Bytes of a file's list of entries, about a million of them."""
_MAX_TAIL_BYTES = 22 + (1 << 16)
"""Bytes at the end of a file that hold the position of the list: its record, and a comment."""
_RECORD = b"PK\5\6"


def list_zip(path: Path) -> dict[str, int]:
    """List the entries of a ``.zip`` file and their bytes.

    Raises:
        ValueError: the file is no ``.zip`` file, or an entry is not stored without compression.
    """
    n_bytes = path.stat().st_size
    if not zipfile.is_zipfile(path):
        with open(path, "rb") as file:
            if file.read(2) == b"PK":
                raise ValueError(f"`{path}` is a damaged .zip file: its end is missing")
        raise ValueError(
            f"`{path}` is no container: it is neither a directory nor a .zip file; "
            "`nvc compress` makes a container of a volume"
        )
    with open(path, "rb") as file:
        file.seek(max(0, n_bytes - _MAX_TAIL_BYTES))
        tail = file.read()
    record = tail[tail.rindex(_RECORD) :]
    n_directory_bytes = int.from_bytes(record[12:16], "little")
    if n_directory_bytes != 0xFFFFFFFF and n_directory_bytes > _MAX_DIRECTORY_BYTES:
        raise ValueError(f"`{path}` has a list of entries of {n_directory_bytes} bytes, which is too long")
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        raise ValueError(f"`{path}` is a damaged .zip file: {error}") from error
    for entry in entries:
        is_stored = entry.compress_type == zipfile.ZIP_STORED and entry.file_size == entry.compress_size
        if not is_stored or entry.flag_bits & 1 or entry.header_offset + entry.file_size > n_bytes:
            raise ValueError(
                f"`{path}` is no container: its entry `{entry.filename:.80}` is compressed, encrypted or "
                "longer than the file; entries must be stored"
            )
    return {entry.filename: entry.file_size for entry in entries}
