"""The Open SciVis Datasets: the catalogue that comes with the package, and the download of a volume."""

from collections.abc import Callable
from pathlib import Path

from nvc_jax.io.catalogs import Catalog, find_entry, read_catalog
from nvc_jax.io.downloads import DownloadProgress, download, file_hash
from nvc_jax.io.paths import output_path
from nvc_jax.io.replaceable import check_replaceable


def load_catalog() -> Catalog:
    """Load the catalogue: ``url``, ``sha512``, ``bytes``, ``dtype``, ``size_xyz`` and more of each volume."""
    return read_catalog("open_scivis.json")


def fetch_dataset(
    name: str,
    directory: Path | str = ".",
    *,
    catalog: Catalog | None = None,
    overwrite: bool = False,
    on_progress: Callable[[DownloadProgress], None] | None = None,
) -> Path:
    """Download a volume of the Open SciVis Datasets, unless the directory holds it, and check its SHA-512.

    Args:
        name: name of the data set in the catalogue.
        directory: directory to put the file into; it is made if it does not exist.
        catalog: the catalogue; that of ``load_catalog`` if None. An entry needs ``url`` and ``sha512``.
        overwrite: whether to replace another file of that name.
        on_progress: called again and again.

    Returns:
        Path of the ``.raw`` file, which appears under its name when it is complete.

    Raises:
        FileExistsError: another file of that name is there already.
        ModuleNotFoundError: pooch is not installed; the message has the command that installs it.
        OSError: the server cannot be reached. What has come is kept, and the same call continues there.
        ValueError: the name is unknown, or the SHA-512 of the file is wrong.
    """
    entry = find_entry(name, load_catalog() if catalog is None else catalog, "the Open SciVis Datasets")
    url, sha512 = entry["url"], entry["sha512"]
    folder = output_path(directory).absolute()
    path = folder / url.rsplit("/", 1)[1]
    if path.is_file() and file_hash(path, "sha512") == sha512:
        return path
    folder.mkdir(parents=True, exist_ok=True)
    check_replaceable(path, overwrite)
    download(url, path, known_hash=f"sha512:{sha512}", on_progress=on_progress)
    return path
