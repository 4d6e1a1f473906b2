"""The Open SciVis Datasets: a catalogue and a downloader."""

import difflib
import json
from pathlib import Path
from typing import Any

from nvc_jax.io.volumes import import_extra


def open_scivis() -> dict[str, dict[str, Any]]:
    """The volumes of the Open SciVis Datasets by name: URL, size (x, y, z), dtype, bytes, SHA-512."""
    entries = json.loads(Path(__file__).with_name("open_scivis.json").read_text())
    return {entry["id"]: entry for entry in entries}


def fetch_dataset(name: str, directory: Path | str = ".") -> Path:
    """Download a volume of the Open SciVis Datasets, unless it is there already, and check its SHA-512.

    Args:
        name: of the data set, one of ``open_scivis()``.
        directory: where to put it; made if it does not exist.

    Returns:
        Path of the ``.raw`` file; it appears under its name only when it is whole.

    Raises:
        ModuleNotFoundError: pooch is missing; the message has the command that installs it.
        OSError: the server cannot be reached.
        ValueError: an unknown name, or a file whose SHA-512 is wrong.
    """
    entries = open_scivis()
    if name not in entries:
        near = difflib.get_close_matches(name, entries, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "`nvc fetch` lists them"
        raise ValueError(f"`name` (={name!r}) is no data set of the Open SciVis Datasets: {hint}")
    pooch = import_extra("pooch", "io")
    url = entries[name]["url"]
    pooch.get_logger().setLevel("WARNING")
    path = pooch.retrieve(
        url,
        known_hash=f"sha512:{entries[name]['sha512']}",
        fname=url.rsplit("/", 1)[1],
        path=Path(directory).absolute(),
        progressbar=False,
    )
    return Path(path)
