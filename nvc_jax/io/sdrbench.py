"""SDRBench, the Scientific Data Reduction Benchmark: its three- and four-dimensional data sets, fetched.

The catalogue beside this module has the addresses, shapes, dtypes and byte orders that
https://sdrbench.github.io states, and the names of the files within the archives. No checksums are published:
each field must have as many bytes as its shape and dtype make, gzip's own checksum must hold, and the SHA-256
of an archive is remembered, so that the next download of it is compared.
"""

import json
import math
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nvc_jax.io.archives import Wanted, extract_files
from nvc_jax.io.atomic import replacing
from nvc_jax.io.catalogs import Catalog, find_entry, read_catalog
from nvc_jax.io.downloads import DownloadProgress, download, file_hash
from nvc_jax.io.paths import output_path

CHECKSUMS = "SHA256SUMS"
"""File of the checksums of the fields, as ``sha256sum --check`` reads it."""
_REMEMBERED = ".nvc-fetched.json"
"""File beside the data sets with the SHA-256 of every archive that was downloaded, by its address."""


def load_catalog() -> Catalog:
    """Load the catalogue: ``url``, ``archive_gb``, ``shape``, ``dtype``, ``fields`` and more of each set."""
    return read_catalog("sdrbench.json")


def field_bytes(entry: Mapping[str, Any]) -> int:
    """Bytes of one field of a data set."""
    return math.prod(entry["shape"]) * np.dtype(entry["dtype"]).itemsize


def fetch_sdrbench(
    name: str,
    directory: Path | str = ".",
    *,
    catalog: Catalog | None = None,
    on_progress: Callable[[DownloadProgress], None] | None = None,
) -> list[Path]:
    """Download a data set and unpack its fields, unless the directory holds them.

    Args:
        name: name of the data set in the catalogue.
        directory: directory to put the folder of the data set into; it is made if it does not exist.
        catalog: the catalogue; that of ``load_catalog`` if None.
        on_progress: called again and again, for the download and then for the unpacking.

    Returns:
        Paths of the fields, raw files whose names state sizes and dtype, such as
        ``nyx/temperature_512x512x512_float32.raw``; beside them lies ``SHA256SUMS``.

    Raises:
        FileExistsError: a folder of that name holds something else, or a field that has changed.
        ModuleNotFoundError: pooch is not installed; the message has the command that installs it.
        OSError: the server cannot be reached, or the disk has too little room. What has come is kept.
        ValueError: the name is unknown, or the archive is not what it should be.
    """
    entry = find_entry(name, load_catalog() if catalog is None else catalog, "SDRBench")
    parent = output_path(directory).absolute()
    folder = parent / name
    paths = {field: folder / _file_name(field, entry) for field in entry["fields"]}
    if folder.exists():
        _check_fields(folder, list(paths.values()))
        return list(paths.values())
    parent.mkdir(parents=True, exist_ok=True)
    _check_room(parent, entry)
    archive = parent / entry["url"].rsplit("/", 1)[1]
    download(entry["url"], archive, on_progress=on_progress)
    _compare(parent / _REMEMBERED, entry["url"], archive)
    with replacing(folder) as partial:
        partial.mkdir()
        _unpack(archive, partial, entry, on_progress)
    archive.unlink()
    return list(paths.values())


def _file_name(field: str, entry: Mapping[str, Any]) -> str:
    """Name a raw file so that it states its sizes, x first, and its dtype."""
    sizes = "x".join(map(str, reversed(entry["shape"])))
    return f"{field}_{sizes}_{entry['dtype']}.raw"


def _check_room(parent: Path, entry: Mapping[str, Any]) -> None:
    """Raise ``OSError`` unless the disk has room for the archive and the fields."""
    needed = int(entry["archive_gb"] * 1e9) + field_bytes(entry) * len(entry["fields"])
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise OSError(
            f"`{parent}`: the data set needs {needed / 1e9:.1f} GB while it is unpacked, and "
            f"{free / 1e9:.1f} GB are free; name a `directory` on another disk"
        )


def _compare(remembered: Path, url: str, archive: Path) -> None:
    """Compare an archive with what was downloaded from its address before, and remember it.

    Raises:
        ValueError: it is another one. It stays where it is.
    """
    hashes: dict[str, str] = json.loads(remembered.read_text()) if remembered.is_file() else {}
    digest = file_hash(archive, "sha256")
    if hashes.setdefault(url, digest) != digest:
        raise ValueError(
            f"`{archive}` has the SHA-256 {digest}; that of the earlier download was {hashes[url]}, as "
            f"`{remembered}` says: the data set has changed at its address, or a download was damaged. "
            "Remove that line, and fetch again, if you trust the new one"
        )
    remembered.write_text(json.dumps(hashes, indent=1) + "\n")


def _unpack(
    archive: Path,
    folder: Path,
    entry: Mapping[str, Any],
    on_progress: Callable[[DownloadProgress], None] | None,
) -> None:
    """Take the fields out of an archive, and write their checksums."""
    n_bytes, done = field_bytes(entry), 0
    total = n_bytes * len(entry["fields"])

    def on_block(block_bytes: int) -> None:
        nonlocal done
        done += block_bytes
        if on_progress is not None:
            on_progress(DownloadProgress(done, total))

    wanted = {
        packed: Wanted(folder / _file_name(field, entry), n_bytes)
        for field, packed in entry["fields"].items()
    }
    hashes = extract_files(archive, wanted, on_block)
    lines = [f"{digest}  {path.name}\n" for path, digest in sorted(hashes.items())]
    (folder / CHECKSUMS).write_text("".join(lines))


def _check_fields(folder: Path, paths: list[Path]) -> None:
    """Raise ``FileExistsError`` unless a folder holds the fields as they were fetched."""
    checksums = folder / CHECKSUMS
    lines = checksums.read_text().splitlines() if checksums.is_file() else []
    hashes = {line.partition("  ")[2]: line.partition("  ")[0] for line in lines}
    for path in paths:
        if not path.is_file() or hashes.get(path.name) != file_hash(path, "sha256"):
            raise FileExistsError(
                f"`{folder}` exists, and `{path.name}` in it is not as it was fetched; move the folder "
                "away to fetch it again"
            )
