"""The Open SciVis Datasets: the catalogue that comes with the package, and the download of a volume."""

import difflib
import importlib.resources
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nvc_jax.core.optional_imports import import_extra

Catalog = Mapping[str, Mapping[str, Any]]
"""Volumes by name: ``url``, ``sha512``, ``bytes``, ``dtype``, ``size_xyz`` and more of each."""

_N_SUGGESTIONS = 3
"""Number of similar names that the error about an unknown name suggests."""


def load_catalog() -> Catalog:
    """Load the catalogue of the Open SciVis Datasets that comes with the package."""
    text = importlib.resources.files("nvc_jax.io").joinpath("open_scivis.json").read_text()
    return {entry["id"]: entry for entry in json.loads(text)}


def fetch_dataset(name: str, directory: Path | str = ".", *, catalog: Catalog | None = None) -> Path:
    """Download a volume of the Open SciVis Datasets, unless the directory holds it, and check its SHA-512.

    Args:
        name: name of the data set in the catalogue.
        directory: directory to put the file into; it is made if it does not exist.
        catalog: the catalogue; that of ``load_catalog`` if None. An entry needs ``url`` and ``sha512``.

    Returns:
        Path of the ``.raw`` file, which appears under its name when it is complete.

    Raises:
        ModuleNotFoundError: pooch is not installed; the message has the command that installs it.
        OSError: the server cannot be reached.
        ValueError: the name is unknown, or the SHA-512 of the file is wrong.
    """
    entries = load_catalog() if catalog is None else catalog
    if name not in entries:
        similar = difflib.get_close_matches(name, entries, n=_N_SUGGESTIONS)
        hint = f"did you mean {' or '.join(similar)}?" if similar else "`nvc fetch` lists them"
        raise ValueError(f"`name` (={name!r}) is no data set of the Open SciVis Datasets: {hint}")

    pooch = import_extra("pooch", "io")
    pooch.get_logger().setLevel("WARNING")
    url = entries[name]["url"]
    path = pooch.retrieve(
        url,
        known_hash=f"sha512:{entries[name]['sha512']}",
        fname=url.rsplit("/", 1)[1],
        path=Path(directory).absolute(),
        progressbar=False,
    )
    return Path(path)
