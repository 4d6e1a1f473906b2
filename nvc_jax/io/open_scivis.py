"""The Open SciVis Datasets: the catalogue that comes with the package, and the download of a volume."""

import difflib
import hashlib
import importlib.resources
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nvc_jax.core.optional_imports import import_extra
from nvc_jax.io.paths import output_path
from nvc_jax.io.replaceable import check_replaceable

Catalog = Mapping[str, Mapping[str, Any]]
"""Volumes by name: ``url``, ``sha512``, ``bytes``, ``dtype``, ``size_xyz`` and more of each."""

_N_SUGGESTIONS = 3
"""Number of similar names that the error about an unknown name suggests."""


def load_catalog() -> Catalog:
    """Load the catalogue of the Open SciVis Datasets that comes with the package."""
    text = importlib.resources.files("nvc_jax.io").joinpath("open_scivis.json").read_text()
    return {entry["id"]: entry for entry in json.loads(text)}


def fetch_dataset(
    name: str, directory: Path | str = ".", *, catalog: Catalog | None = None, overwrite: bool = False
) -> Path:
    """Download a volume of the Open SciVis Datasets, unless the directory holds it, and check its SHA-512.

    Args:
        name: name of the data set in the catalogue.
        directory: directory to put the file into; it is made if it does not exist.
        catalog: the catalogue; that of ``load_catalog`` if None. An entry needs ``url`` and ``sha512``.
        overwrite: whether to replace another file of that name.

    Returns:
        Path of the ``.raw`` file, which appears under its name when it is complete.

    Raises:
        FileExistsError: another file of that name is there already.
        ModuleNotFoundError: pooch is not installed; the message has the command that installs it.
        OSError: the server cannot be reached.
        ValueError: the name is unknown, or the SHA-512 of the file is wrong.
    """
    entries = load_catalog() if catalog is None else catalog
    if name not in entries:
        similar = difflib.get_close_matches(name, entries, n=_N_SUGGESTIONS)
        hint = f"did you mean {' or '.join(similar)}?" if similar else "`nvc fetch` lists them"
        raise ValueError(f"`name` (={name!r}) is no data set of the Open SciVis Datasets: {hint}")

    url, sha512 = entries[name]["url"], entries[name]["sha512"]
    folder = output_path(directory).absolute()
    path = folder / url.rsplit("/", 1)[1]
    if path.is_file() and _sha512(path) == sha512:
        return path
    if folder.is_dir():
        check_replaceable(path, overwrite)
    pooch = import_extra("pooch", "io")
    pooch.get_logger().setLevel("WARNING")
    options = {"known_hash": f"sha512:{sha512}", "progressbar": False}
    return Path(pooch.retrieve(url, fname=path.name, path=folder, **options))


def _sha512(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha512").hexdigest()
